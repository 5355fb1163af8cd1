import { EverbootFailure } from '../../domain/failures.ts';
import { isDevice, requireDevice } from '../files/overwrite-device.ts';
import { isFailedProgram } from '../process/program-failure.ts';
import { runProgram } from '../process/run-program.ts';
import {
  groupFields,
  type LogicalVolume,
  parseGroupReport,
  parseVolumeReport,
  type VolumeGroup,
  volumeFields,
} from './lvm-report.ts';
import { lvmComplaint, missingGroup } from './lvm-words.ts';

/** A command waits for others on the same volume group; what takes longer than this hangs. */
const commandTimeoutMs = 2 * 60_000;

/** A volume group of a large host has some thousands of volumes, with some hundred bytes for each. */
const maxReportBytes = 16 * 2 ** 20;

/** Where no udev makes the nodes of volumes, as in a container, lvm2 makes them itself. */
const settings = 'activation/verify_udev_operations=1';

const reportOptions = ['--reportformat', 'json', '--units', 'b', '--nosuffix', '--binary'];

export interface LvmRun {
  readonly signal: AbortSignal;
  readonly heldLocks: readonly number[];
}

/** Where a volume's bytes are read and written while it is active. */
export function devicePath({ volumeGroup, name }: Pick<LogicalVolume, 'volumeGroup' | 'name'>): string {
  return `/dev/${volumeGroup}/${name}`;
}

/** A volume group and all that is in it. Throws HostUnsuitable when there is none of that name. */
export async function readVolumeGroup(name: string, run: LvmRun): Promise<VolumeGroup> {
  const group = parsed(parseGroupReport, await lvm(['vgs', ...reportOptions, '-o', `${groupFields}`, name], run));
  if (group === undefined) throw noVolumeGroup(name);
  const volumes = await lvm(['lvs', ...reportOptions, '-o', `${volumeFields}`, name], run);
  return { ...group, ...parsed(parseVolumeReport, volumes) };
}

/** The volumes of a group that carry a tag. Throws HostUnsuitable when there is no group of that name. */
export async function volumesWithTag(group: string, tag: string, run: LvmRun): Promise<readonly LogicalVolume[]> {
  const select = ['--select', `lv_tags="${tag}"`];
  const report = await lvm(['lvs', ...reportOptions, '-o', `${volumeFields}`, ...select, group], run);
  return parsed(parseVolumeReport, report).volumes;
}

/**
 * Makes a volume with its tags, in one step, and its device. What stale data has the look of a file system or of a
 * member of something larger is taken away before anybody sees the device. Throws InsufficientSpace.
 */
export async function createVolume(
  { volumeGroup, name, sizeBytes, tags, thinPool }: LogicalVolume,
  run: LvmRun,
): Promise<void> {
  const size = `${sizeBytes}b`;
  const kind =
    thinPool === null ? ['--wipesignatures', 'y', '--zero', 'y', '-L', size] : ['--thinpool', thinPool, '-V', size];
  const tagging = tags.flatMap((tag) => ['--addtag', tag]);
  await lvm(['lvcreate', '--yes', ...kind, ...tagging, '-n', name, volumeGroup], run);
}

/** The names of volumes that lvm2 would remove together with a volume: snapshots that take extents for what changes. */
export async function snapshotsOf({ volumeGroup, name }: LogicalVolume, run: LvmRun): Promise<readonly string[]> {
  const select = ['--select', `origin="${name}"`];
  const report = await lvm(['lvs', ...reportOptions, '-o', `${volumeFields}`, ...select, volumeGroup], run);
  const { volumes } = parsed(parseVolumeReport, report);
  return volumes.filter(({ thinPool }) => thinPool === null).map((snapshot) => snapshot.name);
}

/** Gives a volume another name; its device follows. */
export async function renameVolume({ volumeGroup, name }: LogicalVolume, newName: string, run: LvmRun): Promise<void> {
  await lvm(['lvrename', volumeGroup, name, newName], run);
}

/** Makes a volume larger; what is in the new part is whatever was on the disk. Throws InsufficientSpace. */
export async function extendVolume(volume: LogicalVolume, sizeBytes: number, run: LvmRun): Promise<void> {
  await lvm(['lvextend', '--yes', '-L', `${sizeBytes}b`, qualified(volume)], run);
}

export async function addVolumeTag(volume: LogicalVolume, tag: string, run: LvmRun): Promise<void> {
  await lvm(['lvchange', '--yes', '--addtag', tag, qualified(volume)], run);
}

export async function removeVolumeTag(volume: LogicalVolume, tag: string, run: LvmRun): Promise<void> {
  await lvm(['lvchange', '--yes', '--deltag', tag, qualified(volume)], run);
}

/**
 * Makes the device of a volume where there is none, as after a restart of the host or of a container around us. Throws
 * HostIoError where that did not help.
 */
export async function activateVolume(volume: LogicalVolume, run: LvmRun): Promise<void> {
  const path = devicePath(volume);
  if (await isDevice(path)) return;
  await lvm(['lvchange', '--yes', '-ay', qualified(volume)], run);
  if (await isDevice(path)) return;
  // It was active all the time, and only its node is missing.
  await lvm(['vgmknodes', qualified(volume)], run);
  await requireDevice(path);
}

/** Removes a volume. Throws HostIoError while somebody has its device open. */
export async function removeVolume(volume: LogicalVolume, run: LvmRun): Promise<void> {
  await lvm(['lvremove', '--yes', qualified(volume)], run);
}

function qualified({ volumeGroup, name }: LogicalVolume): string {
  return `${volumeGroup}/${name}`;
}

/**
 * Runs one command of lvm2 to its end: a command that is killed while it changes a volume may leave its device
 * suspended, and everybody who then reads it waits indefinitely.
 */
async function lvm([command, ...args]: readonly [string, ...string[]], run: LvmRun): Promise<string> {
  const options = { ...run, timeoutMs: commandTimeoutMs, maxOutputBytes: maxReportBytes, mustFinish: true };
  try {
    const { stdout } = await runProgram('lvm', [command, '--config', settings, ...args], options);
    return stdout;
  } catch (error) {
    throw lvmFailure(command, error);
  }
}

/** lvm2 ends with the same status whatever is wrong, so its words decide. */
function lvmFailure(command: string, error: unknown): unknown {
  if (!isFailedProgram(error)) return error;
  const { message, program } = error;
  const missing = missingGroup(program);
  if (missing !== undefined) return noVolumeGroup(missing, error);
  switch (lvmComplaint(program)) {
    case 'full':
      return new EverbootFailure('InsufficientSpace', `${command}: the volume group is full: ${message}`, {
        cause: error,
        program,
      });
    case 'no device mapper':
      return new EverbootFailure('HostUnsuitable', `this host’s kernel has no device mapper for LVM: ${message}`, {
        cause: error,
        program,
        remedy: 'Load the modules dm-mod and dm-thin-pool, or set [libvirt] images_type to a backend of files.',
      });
    case 'passing':
      return new EverbootFailure('HostIoError', `${command}: ${message}`, { cause: error, program });
    case null:
      return error;
  }
}

function noVolumeGroup(name: string, cause?: unknown): EverbootFailure {
  return new EverbootFailure('HostUnsuitable', `this host has no volume group ${name}`, {
    cause,
    remedy: 'Make it with vgcreate, or name another in [libvirt] images_volume_group.',
  });
}

function parsed<Report>(parse: (json: string) => Report, json: string): Report {
  try {
    return parse(json);
  } catch (cause) {
    throw new EverbootFailure('ProgramFailed', 'lvm2 reports in a way that is not understood', { cause });
  }
}
