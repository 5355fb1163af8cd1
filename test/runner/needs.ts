import { isBelow } from './suites.ts';

/** A resource that only one file at a time may have. */
export type Need = 'guest';

/** The files and folders of test/ that need something for themselves, each with its reason. */
export const needs: readonly { readonly paths: readonly string[]; readonly need: Need; readonly reason: string }[] = [
  {
    paths: ['boot/', 'hypervisor/lvm-volumes.test.ts'],
    need: 'guest',
    reason:
      'An emulated guest computes on every core that it has, and what waits for its report gives up after minutes; two of ' +
      'them on two cores starve each other. libvirtd is the parent of most, so that no figure shows what they cost.',
  },
];

/** The resources that a test file needs for itself. */
export function needsOf(path: string): Need[] {
  return needs.filter(({ paths }) => paths.some((entry) => isBelow(path, entry))).map(({ need }) => need);
}
