import type { LibvirtSettings } from '../../domain/configuration.ts';
import { type StorageSettings, volumeGroupOf } from '../../domain/disk-source.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { shredDevice, zeroDevice } from '../files/overwrite-device.ts';
import { temporaryName, temporarySuffix } from '../files/publish-file.ts';
import {
  activateVolume,
  addVolumeTag,
  devicePath,
  type LvmRun,
  removeVolume,
  removeVolumeTag,
  renameVolume,
  snapshotsOf,
  volumesWithTag,
} from '../programs/lvm.ts';
import type { LogicalVolume } from '../programs/lvm-report.ts';
import { withClearingSlot } from './clearing-slots.ts';
import type { DiskOwner, RemovalControl } from './disk-backend.ts';
import { clearedTo, clearedToTag, instanceTag, isOwnedBy } from './lvm-claim.ts';

/** Zeroing notes how far it is this often: some minutes of a slow disk. */
const noteEveryBytes = 16 * 2 ** 30;

type ClearSettings = Pick<LibvirtSettings, 'volumeClear' | 'volumeClearSize'>;

/** Clears and removes every volume of the host's group that is the owner's by its claim. Absence is success. */
export async function removeOwnedVolumes(
  settings: ClearSettings & StorageSettings,
  owner: DiskOwner,
  control: RemovalControl,
): Promise<void> {
  const run = { signal: control.signal, heldLocks: control.heldLocks ?? [] };
  const volumes = await volumesWithTag(volumeGroupOf(settings), instanceTag(owner.instanceId), run);
  const owned = volumes.filter((volume) => isOwnedBy(volume, owner));
  // One that somebody has open does not keep the others.
  const failures: unknown[] = [];
  for (const volume of owned) {
    const remove = () => clearAndRemove(volume, settings, run, control);
    await withClearingSlot(control.clearingSlots ?? 1, control.signal, remove).catch((error) => failures.push(error));
    control.signal.throwIfAborted();
  }
  if (failures.length > 0) throw failures[0];
}

/**
 * Removes a volume after it was cleared as the host is set to, so that no extent goes back to its group with a tenant's
 * data. It gets a temporary name first: nobody then takes half a disk for a whole one, and a removal that was cut off
 * is started again by whoever finds it.
 *
 * Throws HostIoError for a volume with a snapshot that somebody took: lvm2 would remove that, too.
 *
 * A thin volume is not cleared, which would fill its pool: what it gives back is zeroed by the pool before the next
 * use.
 */
export async function clearAndRemove(
  volume: LogicalVolume,
  settings: ClearSettings,
  run: LvmRun,
  control: WorkControl,
): Promise<void> {
  const [snapshot] = await snapshotsOf(volume, run);
  if (snapshot !== undefined) {
    const disk = `${volume.volumeGroup}/${volume.name}`;
    throw new EverbootFailure('HostIoError', `${disk} has the snapshot ${snapshot}, which would go with it`, {
      remedy: `Remove the snapshot (lvremove ${volume.volumeGroup}/${snapshot}); the step is tried again.`,
    });
  }
  let doomed = volume;
  if (!volume.name.endsWith(temporarySuffix)) {
    doomed = { ...volume, name: temporaryName(volume.name) };
    await renameVolume(volume, doomed.name, run);
  }
  if (doomed.thinPool === null && settings.volumeClear !== 'none') {
    await activateVolume(doomed, run);
    await clear(doomed, settings, run, control);
  }
  await removeVolume(doomed, run);
}

async function clear(
  volume: LogicalVolume,
  { volumeClear, volumeClearSize }: ClearSettings,
  run: LvmRun,
  control: WorkControl,
): Promise<void> {
  const limitBytes = volumeClearSize === 0 ? Number.POSITIVE_INFINITY : volumeClearSize * 2 ** 20;
  const lengthBytes = Math.min(volume.sizeBytes, limitBytes);
  const { heldLocks } = run;
  if (volumeClear === 'shred') await shredDevice({ path: devicePath(volume), lengthBytes, heldLocks }, control);
  else await zeroVolume(volume, { lengthBytes, stepBytes: noteEveryBytes }, run, control);
}

/**
 * Zeroes the beginning of a volume, and notes in a tag how far it is, so that the next attempt continues there. When it
 * is through the tag goes: a volume that then cannot be removed, since somebody has it open, may be written to again.
 */
export async function zeroVolume(
  volume: LogicalVolume,
  { lengthBytes, stepBytes }: { readonly lengthBytes: number; readonly stepBytes: number },
  run: LvmRun,
  control: WorkControl,
): Promise<void> {
  let noted = clearedTo(volume);
  while (noted < lengthBytes) {
    const offsetBytes = noted;
    const range = { offsetBytes, lengthBytes: Math.min(stepBytes, lengthBytes - offsetBytes) };
    await zeroDevice(
      { path: devicePath(volume), ...range, heldLocks: run.heldLocks },
      {
        ...control,
        onProgress: ({ doneBytes }) =>
          control.onProgress({ doneBytes: offsetBytes + doneBytes, totalBytes: lengthBytes }),
      },
    );
    const reached = offsetBytes + range.lengthBytes;
    if (reached < lengthBytes) await addVolumeTag(volume, clearedToTag(reached), run);
    if (offsetBytes > 0) await removeVolumeTag(volume, clearedToTag(offsetBytes), run);
    noted = reached;
  }
}
