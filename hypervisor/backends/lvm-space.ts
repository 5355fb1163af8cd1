import { EverbootFailure } from '../../domain/failures.ts';
import { spaceText } from '../../domain/sizes.ts';
import type { LogicalVolume, ThinPool, VolumeGroup } from '../programs/lvm-report.ts';

/** A size as lvm2 makes it: the extents of a group are whole. */
export function wholeExtents({ extentBytes }: VolumeGroup, bytes: number): number {
  return Math.ceil(bytes / extentBytes) * extentBytes;
}

/**
 * The one thin pool of a volume group. Throws HostUnsuitable where there is none or more than one, or where the pool
 * hands out blocks with what another guest wrote into them.
 */
export function thinPoolOf({ name, thinPools }: VolumeGroup): ThinPool {
  const [pool, ...others] = thinPools;
  if (pool === undefined) {
    throw new EverbootFailure('HostUnsuitable', `the volume group ${name} has no thin pool`, {
      remedy: `Make one (lvcreate --type thin-pool -l 90%FREE -n pool ${name}), or turn sparse_logical_volumes off.`,
    });
  }
  if (others.length > 0) {
    const names = thinPools.map((each) => each.name).join(', ');
    throw new EverbootFailure(
      'HostUnsuitable',
      `the volume group ${name} has several thin pools: ${names}; expected one`,
    );
  }
  if (!pool.zeroesBlocks) {
    const problem = `the thin pool ${name}/${pool.name} does not zero its blocks, so a guest could read what others wrote`;
    throw new EverbootFailure('HostUnsuitable', problem, {
      remedy: `Turn it on: lvchange --zero y ${name}/${pool.name}`,
    });
  }
  return pool;
}

/** Throws InsufficientSpace where a volume with extents of its own would not fit. */
export function requireGroupSpace({ name, freeBytes }: VolumeGroup, neededBytes: number): void {
  if (neededBytes <= freeBytes) return;
  throw spaceFailure(
    `a volume needs ${spaceText(neededBytes)} in the volume group ${name}, which has ${spaceText(freeBytes)} free`,
  );
}

/**
 * Throws InsufficientSpace where what is about to be written has no room in a thin pool, not even if dmeventd made the
 * pool as large as its group lets it. What guests write later is the operator's to watch: that is what thin means.
 */
export function requirePoolSpace(group: VolumeGroup, pool: ThinPool, neededBytes: number): void {
  const freeBytes = pool.freeBytes + (pool.isMonitored ? group.freeBytes : 0);
  if (pool.health === '' && neededBytes <= freeBytes) return;
  const name = `${group.name}/${pool.name}`;
  throw spaceFailure(
    `a disk writes ${spaceText(neededBytes)} into the thin pool ${name}, which has ${poolState(pool)}`,
  );
}

/** The real cause of a failed write where the thin pool has run full: programs give many others. */
export function fullPoolFailure(group: VolumeGroup, { thinPool }: LogicalVolume, error: unknown): unknown {
  const pool = group.thinPools.find(({ name }) => name === thinPool);
  if (pool === undefined || (pool.health === '' && pool.freeBytes > 0)) return error;
  return spaceFailure(`the thin pool ${group.name}/${pool.name} is full; it has ${poolState(pool)}`, error);
}

function poolState({ freeBytes, health }: ThinPool): string {
  return `${spaceText(freeBytes)} free${health === '' ? '' : ` and is ${health}`}`;
}

function spaceFailure(problem: string, cause?: unknown): EverbootFailure {
  return new EverbootFailure('InsufficientSpace', problem, {
    cause,
    remedy: 'Remove volumes or add disks to the volume group (vgextend, lvextend); then start the boot again.',
    remedyWhenParked: 'Remove volumes or add disks to the volume group (vgextend, lvextend); then retry.',
  });
}
