import { createHash } from 'node:crypto';
import type { PlannedBlankDisk } from '../../domain/disk-plan.ts';
import type { ImageDescription, ImageReference, ImageRole } from '../../domain/image.ts';
import { targetWord } from '../../domain/mkfs-commands.ts';
import type { DiskContext } from '../disks/disk-context.ts';
import { type EphemeralShape, fileSystemCommand } from '../disks/make-file-system.ts';

/** An image id that can be a file name as it is: it is no path, and no SHA-1 that would name another image's file. */
const plainId = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The name of an image's file in the cache: the SHA-1 of the reference as it was given, as in Nova's get_cache_fname;
 * for URLs and files that of the digest's text, so that the content names it. The kernel and the ramdisk of a Glance go
 * by their plain id, as in Nova where it keeps unused kernels; other boot files by a name of their own.
 */
export function imageCacheName(
  { reference, version }: Pick<ImageDescription, 'reference' | 'version'>,
  role: ImageRole,
): string {
  const identity = identityOf(reference, version);
  if (role === 'root') return sha1(identity);
  // A boot file is kept as it is and never judged as a disk, so its name must not be one that a root image may have.
  return 'glance' in reference && plainId.test(identity) ? identity : sha1(`boot:${identity}`);
}

/** Without a digest the place names the image, and what its source says to change with it. */
function identityOf(reference: ImageReference, version = ''): string {
  if ('glance' in reference) return reference.glance;
  const place = 'url' in reference ? reference.url : reference.file;
  return reference.digest ?? `unverified:${place}#${version}`;
}

/**
 * The name of a formatted ephemeral disk in the cache, `ephemeral_<GiB>_<7 hex digits>`. Nova's digits stand for the
 * file system or its command only; ours for everything that shapes the file, so that no disk gets another one's label.
 */
function ephemeralCacheName(disk: EphemeralShape, virtMkfs: readonly string[]): string {
  const { sizeBytes, label } = disk;
  const words = fileSystemCommand(disk, virtMkfs);
  // The disk's own place shapes nothing where it is the last word, as everywhere before hosts had commands of their own.
  const command = words.at(-1) === targetWord ? words.slice(0, -1) : words;
  const shape = JSON.stringify([sizeBytes, label, command]);
  return `ephemeral_${sizeBytes / 2 ** 30}_${sha1(shape).slice(0, 7)}`;
}

/** The name of a formatted file in the cache that backs disks like this one; a swap area's is Nova's `swap_<MiB>`. */
export function blankCacheName(disk: PlannedBlankDisk, { virtMkfs = [] }: Pick<DiskContext, 'virtMkfs'>): string {
  return disk.kind === 'swap' ? `swap_${disk.sizeBytes / 2 ** 20}` : ephemeralCacheName(disk, virtMkfs);
}

function sha1(text: string): string {
  return createHash('sha1').update(text).digest('hex');
}
