import { rm } from 'node:fs/promises';
import type { LibvirtSettings } from '../../domain/configuration.ts';
import type { InstanceDisk, PlannedBlankDisk, PlannedRootDisk, RbdSnapshot } from '../../domain/disk-plan.ts';
import { poolOf, storedDiskName } from '../../domain/disk-source.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { refuseSmallDisk } from '../../domain/flavor-limits.ts';
import type { BaseImage } from '../../domain/image.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { formatterOf } from '../disks/formatter.ts';
import { makeEmptyFile } from '../disks/publish-disk.ts';
import { baseOf, wholeSectors } from '../disks/root-disk.ts';
import { temporaryName } from '../files/publish-file.ts';
import { cephCluster } from '../programs/ceph.ts';
import { cloneRbdSnapshot, growRbdImage, type RbdControl, rbdCloneableSize } from '../programs/rbd.ts';
import type { BackendContext, DiskBackend } from './disk-backend.ts';
import { haveImportedBase } from './rbd-base.ts';
import {
  claimedImageSize,
  imageExists,
  publishRbdImage,
  type RbdPool,
  removeInstanceImages,
  removePartialImages,
} from './rbd-images.ts';
import { importRawFile } from './rbd-import.ts';

/** A file that is only formatted, and then read into the pool. */
const draftMode = 0o600;

/**
 * Images in a Ceph pool, `<instance id>_<disk>` as Nova's class Rbd names them. A root disk is a copy-on-write clone:
 * of the image's own snapshot where Glance keeps it in the same cluster, else of the base, which is imported once.
 */
export function rbdBackend(settings: LibvirtSettings): DiskBackend {
  const pool: RbdPool = { cluster: cephCluster(settings), pool: poolOf(settings) };
  return {
    // Only a qcow2 takes room on the host, while it is converted.
    rootBytes: async (_disk, base) => (base?.format === 'qcow2' ? base.virtualSizeBytes : 0),
    makeRoot: (disk, base, context, control) => makeRoot(pool, disk, base, context, control),
    blankBytes: () => 0,
    makeBlank: (disk, context, control) => makeBlank(pool, disk, context, control),
    removeDisks: (owner, { signal, heldLocks = [] }) => removeInstanceImages(pool, owner, { signal, heldLocks }),
  };
}

async function makeRoot(
  pool: RbdPool,
  disk: PlannedRootDisk,
  base: BaseImage | null,
  context: BackendContext,
  control: WorkControl,
): Promise<InstanceDisk> {
  if (base !== null) refuseSmallDisk(disk.sizeBytes, base.virtualSizeBytes);
  const { image, run, madeBytes } = await lookForMade(pool, disk.name, context, control);
  if (madeBytes !== undefined) {
    const sizeBytes = Math.max(madeBytes, wholeSectors(disk.sizeBytes ?? 0));
    if (sizeBytes > madeBytes) await growRbdImage(pool.cluster, { pool: pool.pool, image }, sizeBytes, run);
    return madeDisk(pool, disk.name, image, sizeBytes);
  }

  const { parent, parentBytes } =
    disk.clone === undefined
      ? await importedParent(pool, baseOf(disk, base), context, control)
      : await glanceParent(pool, disk, disk.clone, run);
  refuseSmallDisk(disk.sizeBytes, parentBytes);
  const sizeBytes = wholeSectors(disk.sizeBytes ?? parentBytes);
  await publish(pool, image, context, run, async (temporary) => {
    const name = { pool: pool.pool, image: temporary };
    if (!(await cloneRbdSnapshot(pool.cluster, parent, name, run))) throw parentGone(parent, disk);
    if (sizeBytes > parentBytes) await growRbdImage(pool.cluster, name, sizeBytes, run);
  });
  return madeDisk(pool, disk.name, image, sizeBytes);
}

interface Parent {
  readonly parent: RbdSnapshot;
  readonly parentBytes: number;
}

async function importedParent(
  pool: RbdPool,
  base: BaseImage,
  context: BackendContext,
  control: WorkControl,
): Promise<Parent> {
  return { parent: await haveImportedBase(pool, base, context, control), parentBytes: base.virtualSizeBytes };
}

/** It was there when the disk was planned. */
async function glanceParent(
  { cluster }: RbdPool,
  disk: PlannedRootDisk,
  parent: RbdSnapshot,
  run: RbdControl,
): Promise<Parent> {
  const parentBytes = await rbdCloneableSize(cluster, parent, run);
  if (parentBytes === undefined) throw parentGone(parent, disk);
  return { parent, parentBytes };
}

async function makeBlank(
  pool: RbdPool,
  disk: PlannedBlankDisk,
  context: BackendContext,
  control: WorkControl,
): Promise<InstanceDisk> {
  const { sizeBytes } = disk;
  const format = formatterOf(disk, control, context);
  const { image, run, madeBytes } = await lookForMade(pool, disk.name, context, control);
  if (madeBytes !== undefined) {
    if (madeBytes === sizeBytes) return madeDisk(pool, disk.name, image, sizeBytes);
    const problem = `${pool.pool}/${image} is there already, but has ${madeBytes} bytes, expected ${sizeBytes}`;
    throw new EverbootFailure('InstanceExists', problem);
  }
  // Formatted as a file with holes, because no program that formats knows Ceph, and the kernel's driver is not asked for.
  const path = temporaryName(`${context.directory}/${disk.name}`);
  const draft = { path, sizeBytes, heldLocks: context.heldLocks };
  try {
    await makeEmptyFile(path, draftMode, sizeBytes);
    await format(draft);
    await publish(pool, image, context, run, (temporary) =>
      importRawFile(pool.cluster, { pool: pool.pool, image: temporary }, draft, control),
    );
  } finally {
    await rm(path, { force: true });
  }
  return madeDisk(pool, disk.name, image, sizeBytes);
}

/** The image that an earlier run of the step made; its partial images are removed first. */
async function lookForMade(pool: RbdPool, diskName: string, context: BackendContext, control: WorkControl) {
  const { claim, heldLocks } = context;
  const run: RbdControl = { signal: control.signal, heldLocks };
  const image = storedDiskName(claim.instanceId, diskName);
  await removePartialImages(pool, { image, claim }, run);
  return { image, run, madeBytes: await claimedImageSize(pool, { image, claim }, run) };
}

async function publish(
  pool: RbdPool,
  image: string,
  { claim }: BackendContext,
  run: RbdControl,
  write: (temporary: string) => Promise<void>,
): Promise<void> {
  if (!(await publishRbdImage(pool, { image, claim }, run, write))) throw imageExists(pool, image, 'InstanceExists');
}

function madeDisk({ pool }: RbdPool, name: string, image: string, virtualSizeBytes: number): InstanceDisk {
  return { name, path: `rbd:${pool}/${image}`, format: 'raw', virtualSizeBytes };
}

/** The failure for a clone's parent that is gone; a base that this boot fetched is imported by the next attempt. */
function parentGone({ pool, image, snapshot }: RbdSnapshot, { clone }: PlannedRootDisk): EverbootFailure {
  const code = clone === undefined ? 'StorageUnavailable' : 'ImageNotFound';
  const remedy =
    'Start the boot again: an image that was imported is imported again, and one of Glance’s is looked up.';
  // The plan, with the snapshot in it, stands while the boot is parked.
  const remedyWhenParked = 'Bring the snapshot back and retry; or abandon the boot, and start it again.';
  const problem = `${pool}/${image}@${snapshot} is gone, or not protected any more`;
  return new EverbootFailure(code, problem, { remedy, remedyWhenParked });
}
