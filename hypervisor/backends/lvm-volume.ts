import type { LibvirtSettings } from '../../domain/configuration.ts';
import { storedDiskName, volumeGroupOf } from '../../domain/disk-source.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { requireDevice, zeroDevice } from '../files/overwrite-device.ts';
import { finalNameOf, syncPath, temporaryName } from '../files/publish-file.ts';
import {
  activateVolume,
  addVolumeTag,
  createVolume,
  devicePath,
  extendVolume,
  readVolumeGroup,
  removeVolumeTag,
  renameVolume,
} from '../programs/lvm.ts';
import type { LogicalVolume, VolumeGroup } from '../programs/lvm-report.ts';
import type { BackendContext } from './disk-backend.ts';
import { claimInTags, claimTags, isOwnedBy, staleFrom, staleFromTag } from './lvm-claim.ts';
import { clearAndRemove } from './lvm-remove.ts';
import { fullPoolFailure, requireGroupSpace, requirePoolSpace, thinPoolOf, wholeExtents } from './lvm-space.ts';

/**
 * Whether a host that is set to logical volumes can make them. Throws ProgramMissing without lvm2, HostUnsuitable
 * without the volume group, or without a thin pool where volumes are thin.
 */
export async function checkVolumeGroup(settings: LibvirtSettings, signal: AbortSignal): Promise<void> {
  if (settings.imagesType !== 'lvm') return;
  const group = await readVolumeGroup(volumeGroupOf(settings), { signal, heldLocks: [] });
  if (settings.sparseLogicalVolumes) thinPoolOf(group);
}

/** The place of one disk on a host: its group, as it was read, and the volume of that name if it is there. */
export interface VolumePlace {
  readonly group: VolumeGroup;
  readonly found: LogicalVolume | undefined;
}

/**
 * Looks for a disk's volume, and makes its device. Removes what killed attempts of the same operation left under
 * temporary names. Throws InstanceExists for a volume of that name that is another operation's, NotManaged for one of
 * nobody's; HostUnsuitable without the group.
 */
export async function findVolume(
  diskName: string,
  settings: LibvirtSettings,
  context: BackendContext,
  control: WorkControl,
): Promise<VolumePlace> {
  const { claim } = context;
  const run = { signal: control.signal, heldLocks: context.heldLocks };
  const name = storedDiskName(claim.instanceId, diskName);
  let group = await readVolumeGroup(volumeGroupOf(settings), run);
  const orphaned = group.volumes.filter((each) => finalNameOf(each.name) === name && isOwnedBy(each, claim));
  for (const volume of orphaned) await clearAndRemove(volume, settings, run, control);
  if (orphaned.length > 0) group = await readVolumeGroup(group.name, run);
  const found = group.volumes.find((volume) => volume.name === name);
  if (found === undefined) return { group, found };
  if (!isOwnedBy(found, claim)) {
    const problem = `the logical volume ${group.name}/${name} is there already, and does not carry this operation’s claim`;
    const isManaged = claimInTags(found.name, found.tags) !== undefined;
    throw new EverbootFailure(isManaged ? 'InstanceExists' : 'NotManaged', problem, {
      remedy: 'Use another id; everboot never touches a volume that it did not make.',
    });
  }
  await activateVolume(found, run);
  return { group, found };
}

export interface VolumeOrder {
  readonly diskName: string;
  readonly sizeBytes: number;
  /** How much of it is about to be written, which a thin pool must have room for. */
  readonly contentBytes: number;
}

/**
 * Makes a volume under a temporary name, has it written, and gives it its final name when it is whole and on disk.
 * `write` gets a volume with whatever its extents held, or, if it is thin, one of zeros. Throws InsufficientSpace.
 */
export async function publishVolume(
  { diskName, sizeBytes, contentBytes }: VolumeOrder,
  group: VolumeGroup,
  settings: LibvirtSettings,
  context: BackendContext,
  control: WorkControl,
  write: (volume: LogicalVolume) => Promise<void>,
): Promise<LogicalVolume> {
  const run = { signal: control.signal, heldLocks: context.heldLocks };
  const pool = settings.sparseLogicalVolumes ? thinPoolOf(group) : null;
  const name = storedDiskName(context.claim.instanceId, diskName);
  const wanted: LogicalVolume = {
    volumeGroup: group.name,
    name: temporaryName(name),
    sizeBytes: wholeExtents(group, sizeBytes),
    tags: claimTags(context.claim),
    thinPool: pool?.name ?? null,
  };
  if (pool === null) requireGroupSpace(group, wanted.sizeBytes);
  else requirePoolSpace(group, pool, contentBytes);
  await createVolume(wanted, run);
  try {
    await requireDevice(devicePath(wanted));
    await write(wanted);
    await syncPath(devicePath(wanted));
  } catch (error) {
    // A cancelled step does not wait for the clearing: undo, or the next attempt, finds the volume by its tags.
    control.signal.throwIfAborted();
    const failure = pool === null ? error : fullPoolFailure(await readVolumeGroup(group.name, run), wanted, error);
    await clearAndRemove(wanted, settings, run, control).catch(() => undefined);
    throw failure;
  }
  await renameVolume(wanted, name, run);
  return { ...wanted, name };
}

/**
 * Makes a volume at least so large; it never becomes smaller. The new part reads as zeros. A tag says so until it does,
 * since a worker that is killed in between leaves a volume of the right size.
 */
export async function growVolume(
  volume: LogicalVolume,
  { sizeBytes, group }: { readonly sizeBytes: number; readonly group: VolumeGroup },
  { heldLocks }: BackendContext,
  control: WorkControl,
): Promise<LogicalVolume> {
  const run = { signal: control.signal, heldLocks };
  const wantedBytes = Math.max(wholeExtents(group, sizeBytes), volume.sizeBytes);
  const addedBytes = wantedBytes - volume.sizeBytes;
  const isThick = volume.thinPool === null;
  const staleStart = staleFrom(volume) ?? volume.sizeBytes;
  if (addedBytes > 0) {
    if (isThick) requireGroupSpace(group, addedBytes);
    if (isThick && staleFrom(volume) === undefined) await addVolumeTag(volume, staleFromTag(staleStart), run);
    await extendVolume(volume, wantedBytes, run);
  }
  if (isThick && staleStart < wantedBytes) {
    const range = { offsetBytes: staleStart, lengthBytes: wantedBytes - staleStart };
    await zeroDevice({ path: devicePath(volume), ...range, heldLocks }, control);
  }
  if (isThick && (addedBytes > 0 || staleFrom(volume) !== undefined)) {
    await removeVolumeTag(volume, staleFromTag(staleStart), run);
  }
  return { ...volume, sizeBytes: wantedBytes };
}
