import type { CacheListing, PrecacheResult, ScrubResult, SweepReport } from '../domain/cache.ts';
import { sizeText } from '../domain/sizes.ts';
import { textTable } from './text-table.ts';
import { timeText } from './units.ts';

/** A host’s cache as people read it: a line a file, then what all of them take. */
export function listingText({ host, folder, files, occupiedBytes, maxBytes }: CacheListing): string {
  const limit = maxBytes === null ? 'no limit' : `of ${sizeText(maxBytes)}`;
  const total = `${host}: ${filesText(files.length)} in ${folder}, ${sizeText(occupiedBytes)}, ${limit}`;
  if (files.length === 0) return total;
  const rows = files.map(({ name, kind, state, title, format, occupiedBytes: bytes, lastUsedAt, users, pinned }) => [
    ...[name, kind, pinned && state !== 'pinned' ? `${state}, pinned` : state],
    ...[sizeText(bytes), format ?? '', timeText(lastUsedAt), title ?? '', usersText(users)],
  ]);
  const head = ['NAME', 'KIND', 'STATE', 'SIZE', 'FORMAT', 'LAST USED', 'IMAGE', 'USED BY'];
  return [...textTable([head, ...rows]), total].join('\n');
}

const maxUsersShown = 3;

function usersText(users: readonly string[]): string {
  const more = users.length - maxUsersShown;
  return [...users.slice(0, maxUsersShown), ...(more > 0 ? [`and ${more} more`] : [])].join(' ');
}

export function sweepText({ host, dryRun, removed, freedBytes, occupiedBytes, notes }: SweepReport): string {
  const rows = removed.map(({ name, occupiedBytes: bytes, reason }) => [name, sizeText(bytes), reason]);
  const did = dryRun ? 'would be removed' : 'removed';
  return [
    ...textTable(rows, '  '),
    ...notes.map((note) => `  note: ${note}`),
    `${host}: ${filesText(removed.length)} ${did}, ${sizeText(freedBytes)}; ${sizeText(occupiedBytes)} ${dryRun ? 'are' : 'stay'} in the cache`,
  ].join('\n');
}

export function scrubText(result: ScrubResult): string {
  const { host, checkedFiles, checkedBytes, recordedFiles, damaged, refetched } = result;
  const lines = damaged.flatMap(({ name, title, quarantinedAs, instances }) => {
    const again = refetched.find((base) => base.name === name);
    const outcome =
      again?.failure == null ? 'it was fetched again' : `it could not be fetched again: ${again.failure.message}`;
    return [
      `  damaged: ${name} (${title}), ${quarantinedAs === null ? 'it is gone' : `quarantined as ${quarantinedAs}`}; ${outcome}`,
      ...instances.map((instance) => `    used by ${instance}: restart its guest, and check its files`),
    ];
  });
  const recorded = recordedFiles === 0 ? '' : `, the hashes of ${recordedFiles} new ones recorded`;
  return [
    ...lines,
    `${host}: ${filesText(checkedFiles)} compared (${sizeText(checkedBytes)}), ${damaged.length} damaged${recorded}`,
  ].join('\n');
}

export function precacheText({ host, title, base, pinned }: PrecacheResult): string {
  const { cacheName, format, virtualSizeBytes } = base;
  return `${title} is in the cache of ${host}: ${cacheName}, ${format}, ${sizeText(virtualSizeBytes)}${pinned ? ', pinned' : ''}`;
}

function filesText(count: number): string {
  return count === 1 ? '1 file' : `${count} files`;
}
