import { constants, open, readFile, realpath, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { EverbootFailure } from '../../domain/failures.ts';
import { listFolder } from '../files/small-file.ts';
import { deviceNumber, devicesUsers } from './device-users.ts';

/** Another boot's look at the same device claims it as well, for a moment; whatever claims it for longer is a user. */
const maxLooks = 20;
const longestPauseMs = 100;

/** A block device as the kernel has it. */
export interface BlockDevice {
  /** The device itself, whatever names lead to it: `/dev/sdb`. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly isReadOnly: boolean;
  /** The name in the device mapper, its dashes as they were given; absent: it is none of those. */
  readonly mapperName?: string;
}

/**
 * Looks at a block device by any of its names. Opens it for a moment, and reads nothing of it.
 * Throws HostUnsuitable where there is none, or where the host itself uses it.
 */
export async function inspectBlockDevice(given: string): Promise<BlockDevice> {
  const { path, number } = await resolveDevice(given);
  const folder = `/sys/dev/block/${number}`;
  const users = await devicesUsers(path, await withPartitions(folder, number));
  if (users.length > 0) throw inUse(given, users.join(', '));
  await refuseClaimed(given, path);
  const [sectors, readOnly, mapperName] = await Promise.all([
    readFile(`${folder}/size`, 'utf8'),
    readFile(`${folder}/ro`, 'utf8'),
    readFile(`${folder}/dm/name`, 'utf8').catch(() => undefined),
  ]);
  return {
    path,
    // Sectors of 512 bytes, whatever the disk's own are.
    sizeBytes: Number(sectors) * 512,
    isReadOnly: readOnly.trim() !== '0',
    ...(mapperName !== undefined && { mapperName: mapperName.trim().replaceAll('--', '-') }),
  };
}

async function resolveDevice(given: string): Promise<{ readonly path: string; readonly number: string }> {
  try {
    const path = await realpath(given);
    const found = await stat(path);
    if (found.isBlockDevice()) return { path, number: deviceNumber(found.rdev) };
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    throw noDevice(given, 'is not there');
  }
  throw noDevice(given, 'is no block device');
}

/** The device and its partitions, by number: what uses one of them uses it. */
async function withPartitions(folder: string, number: string): Promise<readonly string[]> {
  const partitions = await Promise.all(
    (await listFolder(folder)).map(async (name) => {
      const isPartition = (await listFolder(`${folder}/${name}`).catch((): string[] => [])).includes('partition');
      return isPartition ? (await readFile(`${folder}/${name}/dev`, 'utf8')).trim() : undefined;
    }),
  );
  return [number, ...partitions.filter((found) => found !== undefined)];
}

/**
 * The kernel gives a block device to one claimant alone: a mount in whatever namespace, a swap area, an array, a volume
 * group. An exclusive open fails while it has one, also in ways that nobody here has thought of.
 */
async function refuseClaimed(given: string, path: string): Promise<void> {
  for (let look = 1; look <= maxLooks; look++) {
    if (await isFree(path)) return;
    await sleep(Math.random() * longestPauseMs);
  }
  throw inUse(given, 'the kernel says that it is claimed');
}

async function isFree(path: string): Promise<boolean> {
  try {
    const device = await open(path, constants.O_RDONLY | constants.O_EXCL | constants.O_NONBLOCK);
    await device.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EBUSY') return false;
    throw error;
  }
}

function noDevice(given: string, what: string): EverbootFailure {
  return new EverbootFailure('HostUnsuitable', `the block device ${given} ${what} on this host`, {
    remedy: 'Attach the device to the host, or correct its path in the spec.',
  });
}

function inUse(given: string, users: string): EverbootFailure {
  return new EverbootFailure('HostUnsuitable', `the host itself uses the block device ${given}: ${users}`, {
    remedy: 'Name another device; a guest must not write to a disk that its host uses.',
  });
}
