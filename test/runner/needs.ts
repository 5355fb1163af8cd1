import { isBelow } from './suites.ts';

/** What only one file at a time may have; who needs the machine runs when nothing else does. */
export type Need = 'guest' | 'machine';

/** The files and folders of test/ that need something for themselves, each with its reason. */
export const needs: readonly { readonly paths: readonly string[]; readonly need: Need; readonly reason: string }[] = [
  {
    paths: ['boot/'],
    need: 'guest',
    reason:
      'An emulated guest computes on every core that it has, and what waits for its report gives up after minutes; two of ' +
      'them on two cores starve each other. libvirtd is the parent of most, so that no figure shows what they cost.',
  },
  {
    paths: ['hypervisor/lvm-volumes.test.ts'],
    need: 'machine',
    reason:
      'Its tests run inside of an emulated guest, Node and its modules included. Alone that takes minutes, and beside ' +
      'files that compute some times of it, until the guest is taken for one that hangs.',
  },
];

/** The resources that a test file needs for itself. */
export function needsOf(path: string): Need[] {
  return needs.filter(({ paths }) => paths.some((entry) => isBelow(path, entry))).map(({ need }) => need);
}
