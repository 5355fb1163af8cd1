import { EverbootFailure } from '../../domain/failures.ts';
import type { RootPlace } from '../../domain/plan-injection.ts';
import type { Guest } from '../programs/guestfish.ts';

/** More places than any guest has. */
const maxMounts = 64;

/** fsck's exit status from which on errors are left. */
const uncorrected = 4;

/**
 * Mounts a guest's file systems in the appliance, its root first. Throws ImageUnacceptable and ProgramFailed where
 * there is no root, or none that mounts.
 */
export async function mountGuest(guest: Guest, place: RootPlace): Promise<void> {
  if (place === 'inspect') await mountInspected(guest);
  else await mount(guest, place === 'disk' ? '/dev/sda' : `/dev/sda${place}`, '/');
}

async function mountInspected(guest: Guest): Promise<void> {
  const [root, ...others] = lines(await guest.run('inspect-os'));
  if (root === undefined) throw new EverbootFailure('ImageUnacceptable', 'no operating system is found in it');
  if (others.length > 0) throw new EverbootFailure('ImageUnacceptable', 'several operating systems are found in it');
  const mounts = lines(await guest.run('inspect-get-mountpoints', root))
    .flatMap(mountPoint)
    .sort((one, two) => (one.place < two.place ? -1 : 1));
  const [first, ...inside] = mounts.slice(0, maxMounts);
  if (first?.place !== '/') {
    throw new EverbootFailure('ImageUnacceptable', 'its operating system does not say where its root is');
  }
  await mount(guest, first.device, '/');
  for (const { place, device } of inside) {
    // As Nova does: what is injected may well be elsewhere.
    await mount(guest, device, place).catch(() => undefined);
  }
}

/** "/boot: /dev/sda1", or a subvolume of a btrfs in place of the device. */
function mountPoint(line: string): { readonly place: string; readonly device: string }[] {
  const { place, device } = /^(?<place>\/.*): (?<device>(?:btrfsvol:)?\/dev\/.+)$/.exec(line)?.groups ?? {};
  return place === undefined || device === undefined ? [] : [{ place, device }];
}

/** A file system that was not closed, perhaps by an appliance that was killed, is put in order before it is used. */
async function mount(guest: Guest, device: string, place: string): Promise<void> {
  const fileSystem = (await guest.run('vfs-type', device)).trim();
  if (/^ext[234]$/.test(fileSystem)) {
    const status = Number((await guest.run('fsck', fileSystem, device)).trim());
    if (status >= uncorrected) {
      throw new EverbootFailure('ImageUnacceptable', 'its file system has errors that fsck -a does not repair');
    }
  }
  // Device nodes and programs that a tenant has put there are of no use.
  await guest.run('mount-options', 'nodev,nosuid,noexec', device, place);
}

function lines(text: string): readonly string[] {
  return Buffer.from(text, 'latin1').toString().split('\n').filter(Boolean);
}
