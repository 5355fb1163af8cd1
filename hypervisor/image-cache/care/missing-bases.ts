import type { DamagedBase } from '../../../domain/cache.ts';
import { isThere, listFolder } from '../../small-file.ts';
import { readFacts } from '../base-facts.ts';
import type { CacheCare } from './cache-care.ts';

/**
 * Bases that disks lie on and that are not in the cache: removed by hand, or put aside by a scrub that was interrupted
 * before it said so. `known` are those that are told of already.
 */
export async function missingBases(
  { paths }: CacheCare,
  users: ReadonlyMap<string, ReadonlySet<string>>,
  known: ReadonlySet<string>,
): Promise<DamagedBase[]> {
  const missing: DamagedBase[] = [];
  for (const [name, instances] of users) {
    if (known.has(name)) continue;
    const facts = await readFacts(paths, name);
    const isHere = (await isThere(`${paths.cache}/${name}`)) || (await isThere(`${paths.cache}/${name}.part`));
    // One that is on its way has facts only when it is about to get its name.
    if (facts === undefined || isHere || (await isThere(`${paths.cache}/${name}.converted`))) continue;
    const aside = (await listFolder(paths.cache)).find((other) => other.startsWith(`${name}.damaged-`));
    const [title, order] = [facts.title, facts.order];
    missing.push({ name, title, quarantinedAs: aside ?? null, instances: [...instances].sort(), order });
  }
  return missing;
}
