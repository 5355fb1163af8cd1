import { constants } from 'node:fs';
import { type FileHandle, lstat, open, readlink, realpath } from 'node:fs/promises';
import { basename, isAbsolute, normalize } from 'node:path';
import type { GlanceSettings } from '../../domain/configuration.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { ImageDescription, ImageReference } from '../../domain/image.ts';
import { digestOfSpec } from './image-digest.ts';
import { throwIfTooLarge } from './size-limit.ts';

/**
 * Describes a file image. Throws ImageUnverifiable, ImageNotFound, ImageForbidden, ImageTooLarge, SourceUnavailable.
 */
export async function describeFileImage(
  reference: Extract<ImageReference, { readonly file: string }>,
  fileImageRoots: readonly string[],
  glance: GlanceSettings,
): Promise<ImageDescription> {
  const title = basename(reference.file).slice(0, 255);
  const digest = digestOfSpec({ digest: reference.digest, title }, glance);
  const file = await openImageFile(reference.file, fileImageRoots);
  try {
    const { size: sizeBytes } = await file.stat();
    throwIfTooLarge(title, sizeBytes, glance);
    const described = { reference, title, format: reference.format, sizeBytes, digest };
    const changing = digest === null ? { version: await fileVersion(file) } : {};
    return { ...described, ...changing, minDiskGb: 0, minRamMb: 0, properties: {} };
  } finally {
    await file.close();
  }
}

/**
 * Opens a local image, if it is a regular file in one of the configured folders, wherever its links lead. What was
 * opened is looked at again, since a folder on the way may have been replaced in between.
 *
 * Throws ImageNotFound, ImageForbidden, SourceUnavailable; of what lies outside of the folders it says nothing.
 */
export async function openImageFile(path: string, fileImageRoots: readonly string[]): Promise<FileHandle> {
  const roots = [...fileImageRoots, ...(await Promise.all(fileImageRoots.map(resolvedRoot)))];
  const isInside = (where: string): boolean => roots.some((root) => isWithin(where, root));
  if (!isAbsolute(path) || path.includes('\0')) throw outside(path);
  try {
    const resolved = await realpath(path);
    if (!isInside(resolved)) throw outside(path);
    // Opening a device or a pipe may do something by itself, so the look comes first.
    if (!(await lstat(resolved)).isFile()) throw notRegular(path);
    const file = await open(resolved, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      if (!(await file.stat()).isFile()) throw notRegular(path);
      if (!isInside(await readlink(`/proc/self/fd/${file.fd}`))) throw outside(path);
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  } catch (error) {
    throw isInside(normalize(path)) ? openingFailure(path, error) : outside(path);
  }
}

/** Changes when a file does: another file, another size, written to. */
export async function fileVersion(file: FileHandle): Promise<string> {
  const { size, mtimeNs, ino } = await file.stat({ bigint: true });
  return `${ino}-${mtimeNs}-${size}`;
}

/** A root that is absent holds nothing; it is no reason to refuse the others. */
async function resolvedRoot(root: string): Promise<string> {
  return await realpath(root).catch(() => root);
}

function isWithin(path: string, root: string): boolean {
  return path.startsWith(root.endsWith('/') ? root : `${root}/`);
}

function openingFailure(path: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') return new EverbootFailure('ImageNotFound', `${path} does not exist`);
  if (code === 'EACCES' || code === 'EPERM') return new EverbootFailure('ImageForbidden', `${path} may not be read`);
  if (code === 'ELOOP') return new EverbootFailure('SourceUnavailable', `${path} is a link that leads nowhere`);
  return error;
}

function notRegular(path: string): EverbootFailure {
  return new EverbootFailure('SourceUnavailable', `${path} is not a regular file`);
}

function outside(path: string): EverbootFailure {
  return new EverbootFailure('SourceUnavailable', `${path} is in none of the folders that images may come from`, {
    remedy: 'Put the file into a folder of [host] file_image_roots, or add its folder there.',
  });
}
