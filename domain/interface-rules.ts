import type { HostSettings } from './configuration.ts';
import { EverbootFailure } from './failures.ts';
import type { NetworkInterface } from './spec.ts';

/**
 * Whether a guest of this host may have the cards that a spec names. Networks and bridges are there for guests; a tap
 * device may be anybody's, another guest's that is shut off or the host's own, so that only those are given that the
 * host's configuration names. Throws HostUnsuitable.
 */
export function refuseForeignInterfaces(
  interfaces: readonly NetworkInterface[],
  { tapDevices }: Pick<HostSettings, 'tapDevices'>,
): void {
  for (const { type, source } of interfaces) {
    if (type !== 'tap' || tapDevices.some((known) => isNamed(source, known))) continue;
    const problem = `the tap device ${source} is not in the host’s [host] tap_devices, so no guest gets it`;
    throw new EverbootFailure('HostUnsuitable', problem, {
      remedy:
        'Add it, or its beginning and "*", to [host] tap_devices on the host if every author of specs may name it.',
    });
  }
}

function isNamed(device: string, known: string): boolean {
  return known.endsWith('*') ? device.startsWith(known.slice(0, -1)) : device === known;
}
