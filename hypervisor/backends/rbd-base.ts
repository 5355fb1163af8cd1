import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { RbdSnapshot } from '../../domain/disk-plan.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { BaseImage } from '../../domain/image.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { temporaryName } from '../files/publish-file.ts';
import { imageStore } from '../image-store/image-store.ts';
import { lockKeys } from '../locks/lock-keys.ts';
import { withLock } from '../locks/with-lock.ts';
import { convertImage } from '../programs/qemu-img.ts';
import { protectRbdImage, rbdCloneableSize } from '../programs/rbd.ts';
import type { BackendContext } from './disk-backend.ts';
import {
  basePrefix,
  baseSnapshot,
  imageExists,
  publishRbdImage,
  type RbdPool,
  removePartialImages,
} from './rbd-images.ts';
import { importRawFile } from './rbd-import.ts';

/**
 * For so long a build waits for another one that imports the same image; then it gives its place back, and Temporal
 * waits.
 */
const waitForOtherMs = 2000;

/**
 * Has a cached image in the pool, and says which snapshot is to be cloned. It is imported once for all hosts: where two
 * do so at a time, one gets the name, and the other takes its image. Of one host only one build imports.
 *
 * Throws BaseImageBusy while another build of the host imports it, and Ceph's failures.
 */
export async function haveImportedBase(
  pool: RbdPool,
  base: BaseImage,
  context: BackendContext,
  control: WorkControl,
): Promise<RbdSnapshot> {
  const image = await importedName(base, context);
  const wanted = { pool: pool.pool, image, snapshot: baseSnapshot };
  const isThere = async (): Promise<boolean> =>
    (await rbdCloneableSize(pool.cluster, wanted, { ...control, heldLocks: context.heldLocks })) !== undefined;
  if (await isThere()) return wanted;

  const whenBusy = (): never => {
    throw new EverbootFailure('BaseImageBusy', `another build on this host imports ${image} into ${pool.pool}`, {
      retryAfterMs: waitForOtherMs,
    });
  };
  const waiting = { waitMs: waitForOtherMs, signal: control.signal, whenBusy };
  return await withLock(context.paths, lockKeys.rbdImport(`${pool.pool}/${image}`), waiting, async (lock) => {
    if (await isThere()) return wanted;
    const heldLocks = [...context.heldLocks, lock.descriptor];
    await importBase(pool, image, base, { ...context, heldLocks }, control);
    if (await isThere()) return wanted;
    throw imageExists(pool, image, 'NotManaged');
  });
}

async function importBase(
  pool: RbdPool,
  image: string,
  base: BaseImage,
  context: BackendContext,
  control: WorkControl,
): Promise<void> {
  const { claim, heldLocks } = context;
  const run = { signal: control.signal, heldLocks };
  await removePartialImages(pool, { image, claim }, run);
  // Another host's image under that name is as good as ours.
  await publishRbdImage(pool, { image, claim }, run, async (temporary) => {
    const name = { pool: pool.pool, image: temporary };
    await withRawFile(base, context, control, (path) =>
      importRawFile(pool.cluster, name, { path, sizeBytes: base.virtualSizeBytes, heldLocks }, control),
    );
    await protectRbdImage(pool.cluster, { ...name, snapshot: baseSnapshot }, run);
  });
}

/** A cache that keeps images as they came (`force_raw_images` is off) may have a qcow2; what is in a pool is raw. */
async function withRawFile(
  { path, format, virtualSizeBytes }: BaseImage,
  { directory, heldLocks }: BackendContext,
  control: WorkControl,
  work: (path: string) => Promise<void>,
): Promise<void> {
  if (format === 'raw') return await work(path);
  const destination = temporaryName(`${directory}/disk`);
  try {
    await convertImage({ source: path, sourceFormat: format, destination, virtualSizeBytes, heldLocks }, control);
    await work(destination);
  } finally {
    await rm(destination, { force: true });
  }
}

async function importedName({ cacheName, virtualSizeBytes }: BaseImage, { paths }: BackendContext): Promise<string> {
  const facts = await imageStore.inventory.factsOf(paths, cacheName);
  return importedBaseName(cacheName, facts?.digest ?? `${facts?.imageVersion ?? ''} ${virtualSizeBytes}`);
}

/**
 * `everboot_base_<name in the cache>_<8 hex digits>`. Hosts share the pool, though perhaps not the Glance that they
 * know an image of by the same id, so the digits stand for its content: the digest that it verified with, or what is
 * known else.
 */
export function importedBaseName(cacheName: string, content: string): string {
  return `${basePrefix}${cacheName}_${createHash('sha1').update(content).digest('hex').slice(0, 8)}`;
}
