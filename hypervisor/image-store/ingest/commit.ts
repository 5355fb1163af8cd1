import { chmod, rename, stat } from 'node:fs/promises';
import { EverbootFailure } from '../../../domain/failures.ts';
import type { FetchOrder } from '../../../domain/host-activities.ts';
import type { HostPaths } from '../../../domain/host-paths.ts';
import type { BaseImage } from '../../../domain/image.ts';
import type { WorkControl } from '../../../domain/step-progress.ts';
import { syncPath } from '../../files/publish-file.ts';
import { removeFile } from '../../files/small-file.ts';
import { findBase, readFacts, readMark } from '../base-facts.ts';
import { baseFiles } from '../base-files.ts';
import { dropLease } from '../fetch-lease.ts';
import { recordBaseHash } from '../maintenance/scrub-cache.ts';
import type { StoreMaintenance } from '../store-settings.ts';
import { underFetchLock } from './ingest-step.ts';

/**
 * Gives the verified file its final name, from which on others see it, and clears what it came from. Throws HostIoError
 * where the facts do not say of this very file that it was verified.
 */
export async function commitBase(store: StoreMaintenance, order: FetchOrder, control: WorkControl): Promise<BaseImage> {
  const { paths } = store;
  const { cacheName } = order.base;
  const { final, part, sidecar, converted } = baseFiles(paths, cacheName);
  const base = await underFetchLock(paths, order, control, async () => {
    const facts = await readFacts(paths, cacheName);
    if (facts === undefined) throw unproven(`${cacheName} was not verified, or what was known of it is gone`);
    const source = facts.from === 'converted' ? converted : part;
    const { size } = await stat(source);
    if (size !== facts.fileSizeBytes) {
      throw unproven(`${source} has ${size} bytes; ${facts.fileSizeBytes} were verified`);
    }
    await giveFinalName(paths, source, final);
    const published = await findBase(paths, cacheName);
    if (published === undefined) throw unproven(`${final} vanished as it was committed`);
    return published;
  });
  for (const path of [converted, part, sidecar]) await removeFile(path);
  await dropLease(paths, cacheName, order.claim);
  recordHashSoon(store, cacheName);
  return base;
}

/** The same for a blank disk that is whole under its temporary name. Call it with the `fetch` lock of the name held. */
export async function commitBlank(paths: HostPaths, cacheName: string, temporaryPath: string): Promise<void> {
  const mark = await readMark(paths, cacheName);
  if (mark?.kind !== 'blank') throw unproven(`nothing says that ${cacheName} is a blank disk of everboot’s`);
  await giveFinalName(paths, temporaryPath, baseFiles(paths, cacheName).final);
}

/**
 * The only place where a file gets a base's name. A crash at any moment leaves the name absent, or the file behind it
 * complete: its content is on disk before the name is, and QEMU may read it before anybody else can see it.
 */
async function giveFinalName(paths: HostPaths, source: string, final: string): Promise<void> {
  await chmod(source, 0o644);
  await syncPath(source);
  await rename(source, final);
  await syncPath(paths.cache);
}

function unproven(found: string): EverbootFailure {
  return new EverbootFailure('HostIoError', found);
}

const hashAfterMs = 1000;

/**
 * Has the new file's hash recorded while it is still in the page cache. No boot waits for it, and where the worker ends
 * first, the next scrub does it.
 */
function recordHashSoon(store: StoreMaintenance, cacheName: string): void {
  const control = { signal: AbortSignal.timeout(3_600_000), onProgress: () => undefined };
  setTimeout(() => {
    void recordBaseHash(store, cacheName, control).catch(() => undefined);
  }, hashAfterMs).unref();
}
