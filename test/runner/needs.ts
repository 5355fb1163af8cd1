/** What only one file at a time may have. */
export type Need = 'guest';

/** The files that need something for themselves, by how their paths in test/ begin. */
const needs: readonly { readonly paths: readonly string[]; readonly need: Need; readonly reason: string }[] = [
  {
    paths: ['boot/', 'hypervisor/lvm-clearing', 'hypervisor/lvm-thick', 'hypervisor/lvm-thin'],
    need: 'guest',
    reason:
      'An emulated guest computes on every core that it has, and what waits for its report gives up after minutes; two of ' +
      'them on two cores starve each other. libvirtd is the parent of most, so that no figure tells what they cost.',
  },
];

/** What a test file needs for itself. */
export function needsOf(path: string): Need[] {
  return needs.filter(({ paths }) => paths.some((start) => path.startsWith(start))).map(({ need }) => need);
}
