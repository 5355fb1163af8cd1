import type { DamagedBase } from '../../../domain/cache.ts';
import { isThere, listFolder } from '../../files/small-file.ts';
import { readFacts } from '../base-facts.ts';
import { baseFiles } from '../base-files.ts';
import type { StoreMaintenance } from '../store-settings.ts';
import { readScrubRecord } from './scrub-record.ts';

/**
 * Bases that back disks and are not in the cache: removed by hand, quarantined by a scrub that was interrupted before
 * it said so, or not fetched again because the source was away. `known` are those that are reported already.
 */
export async function missingBases(
  { paths }: StoreMaintenance,
  users: ReadonlyMap<string, ReadonlySet<string>>,
  known: ReadonlySet<string>,
): Promise<DamagedBase[]> {
  const missing: DamagedBase[] = [];
  for (const [name, instances] of users) {
    if (known.has(name)) continue;
    const { final, part, converted } = baseFiles(paths, name);
    // Whatever is on its way is not missing. The final name last, since the others become it.
    if ((await isThere(part)) || (await isThere(converted)) || (await isThere(final))) continue;
    const found = (await readFacts(paths, name)) ?? (await readScrubRecord(paths, name));
    if (found === undefined) continue;
    const quarantined = (await listFolder(paths.cache)).find((other) => other.startsWith(`${name}.damaged-`));
    const [title, order] = [found.title ?? name, found.order];
    missing.push({ name, title, quarantinedAs: quarantined ?? null, instances: [...instances].sort(), order });
  }
  return missing;
}
