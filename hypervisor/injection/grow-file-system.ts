import { EverbootFailure } from '../../domain/failures.ts';
import type { GrowthReport } from '../../domain/host-activities.ts';
import { type Guest, type GuestDisk, type GuestfishControl, withGuestfish } from '../programs/guestfish.ts';

const device = '/dev/sda';

/**
 * Makes the file system of a disk as large as the disk, where that is safe: an ext2, ext3 or ext4 on the bare disk,
 * without errors, and smaller than it. Nova's `is_image_extendable` and `extend` (nova/virt/disk/api.py). Anything else
 * is left as it is; the guest boots with it all the same, so that nothing of the image's is a failure.
 *
 * It is grown while it is mounted, since the kernel does that under the journal: resize2fs on a file system that is not
 * mounted leaves a wreck when it is killed.
 *
 * Throws ProgramMissing and HostUnsuitable; HostIoError and InsufficientSpace where the host's disk failed or was full.
 */
export async function growFileSystem(disk: GuestDisk, control: GuestfishControl): Promise<GrowthReport> {
  try {
    return await withGuestfish(disk, control, growInside);
  } catch (error) {
    if (!(error instanceof EverbootFailure)) throw error;
    if (error.code !== 'ProgramFailed' && error.code !== 'ImageUnacceptable') throw error;
    return left(error.message);
  }
}

async function growInside({ run }: Guest): Promise<GrowthReport> {
  const kind = (await run('vfs-type', device)).trim();
  if (!/^ext[234]$/.test(kind)) return left('no ext2, ext3 or ext4 is on the bare disk');
  if ((await run('list-partitions')).trim() !== '') return left('the disk has partitions');
  const diskBytes = Number((await run('blockdev-getsize64', device)).trim());
  const before = await fileSystemBytes(run);
  if (before.bytes + before.blockBytes > diskBytes) return left(`the ${kind} fills the disk already`);
  await run('e2fsck', device, 'correct:true');
  await run('mount-options', 'nodev,nosuid,noexec', device, '/');
  await run('resize2fs', device);
  const { bytes } = await fileSystemBytes(run);
  if (bytes <= before.bytes) return left(`resize2fs left the ${kind} at ${bytes} bytes`);
  return { resized: true, note: `the ${kind} was grown from ${before.bytes} to ${bytes} bytes` };
}

async function fileSystemBytes(run: Guest['run']): Promise<{ readonly bytes: number; readonly blockBytes: number }> {
  const superblock = await run('tune2fs-l', device);
  const [blocks, blockBytes] = ['Block count', 'Block size'].map((name) =>
    Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(superblock)?.[1]),
  );
  if (!blocks || !blockBytes) throw new EverbootFailure('ImageUnacceptable', 'its superblock cannot be read');
  return { bytes: blocks * blockBytes, blockBytes };
}

function left(reason: string): GrowthReport {
  return { resized: false, note: `the file system was left as it is: ${reason}` };
}
