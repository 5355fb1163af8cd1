import type { Claim } from '../../domain/claim.ts';
import { storedDiskName } from '../../domain/disk-source.ts';
import type { LogicalVolume } from '../programs/lvm-report.ts';
import type { DiskOwner } from './disk-backend.ts';

const instanceTagStart = 'everboot.instance.';
const operationTagStart = 'everboot.operation.';
const staleTag = 'everboot.stale-from.';
const clearedTag = 'everboot.cleared-to.';

/**
 * A volume's claim is in its tags, which lvm2 writes in the same moment as the volume, and keeps when it is renamed.
 */
export function claimTags({ instanceId, operationId }: Claim): readonly string[] {
  return [instanceTag(instanceId), `${operationTagStart}${operationId}`];
}

/** The claim of a volume with a disk's name; undefined where neither its tags nor its name have one. */
export function claimInTags(name: string, tags: readonly string[]): Claim | undefined {
  const textAfter = (start: string): string | undefined =>
    tags.find((tag) => tag.startsWith(start))?.slice(start.length);
  const [instanceId, operationId] = [textAfter(instanceTagStart), textAfter(operationTagStart)];
  if (instanceId === undefined || operationId === undefined) return undefined;
  return name.startsWith(storedDiskName(instanceId, '')) ? { instanceId, operationId } : undefined;
}

/** Every volume of an instance carries it. */
export function instanceTag(instanceId: string): string {
  return `${instanceTagStart}${instanceId}`;
}

/** Whether a volume is the owner's: by its tags, and by a name that everboot gives to disks of that instance. */
export function isOwnedBy(
  { name, tags }: Pick<LogicalVolume, 'name' | 'tags'>,
  { instanceId, operationId }: DiskOwner,
): boolean {
  if (!name.startsWith(storedDiskName(instanceId, ''))) return false;
  const wanted = operationId === null ? [instanceTag(instanceId)] : claimTags({ instanceId, operationId });
  return wanted.every((tag) => tags.includes(tag));
}

/** Says from which byte on a volume that grows may still show what the disk held before. */
export function staleFromTag(bytes: number): string {
  return `${staleTag}${bytes}`;
}

/** The byte that such a tag names; undefined where the volume has none. */
export function staleFrom({ tags }: Pick<LogicalVolume, 'tags'>): number | undefined {
  const tag = tags.find((each) => each.startsWith(staleTag));
  return tag === undefined ? undefined : Number(tag.slice(staleTag.length));
}

/** Says up to which byte a volume that is being removed holds zeros. */
export function clearedToTag(bytes: number): string {
  return `${clearedTag}${bytes}`;
}

/** The largest byte that such tags name: the next one is there before the last one goes. */
export function clearedTo({ tags }: Pick<LogicalVolume, 'tags'>): number {
  const cleared = tags.filter((each) => each.startsWith(clearedTag));
  return Math.max(0, ...cleared.map((tag) => Number(tag.slice(clearedTag.length))));
}
