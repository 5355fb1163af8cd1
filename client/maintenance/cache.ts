import { createHash } from 'node:crypto';
import type { CacheListing, PrecacheResult, ScrubResult, SweepReport } from '../../domain/cache.ts';
import type { PinReport } from '../../domain/host-activities.ts';
import type { ImageReference } from '../../domain/image.ts';
import { parseImageReference } from '../../domain/parse-spec.ts';
import { imageName } from '../request/ui-texts.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { type CacheRun, startCacheWork } from './cache-run.ts';
import { type RepeatableWork, scheduleCacheWork } from './schedule-cache-work.ts';

export interface OnHost {
  /** The one host that polls where it is not given. */
  readonly host?: string;
}

/** The control plane's calls to the image caches of hosts. */
export interface CacheClient {
  list(options?: OnHost): Promise<CacheListing>;
  /** Removes what is old, over the budget or orphaned, and used by nothing. */
  sweep(options?: OnHost & { readonly dryRun?: boolean }): Promise<CacheRun<SweepReport>>;
  /** Compares cached images with their hashes, those that are due or those that are named. */
  scrub(
    options?: OnHost & { readonly names?: readonly string[]; readonly force?: boolean },
  ): Promise<CacheRun<ScrubResult>>;
  /** Keeps a cached file from every sweep, or lets it go again; says whether that changed anything. */
  pin(name: string, options?: OnHost & { readonly pinned?: boolean }): Promise<PinReport>;
  /** Has an image in the cache before any instance asks for it. Throws SpecInvalid. */
  precache(image: unknown, options?: OnHost & { readonly pin?: boolean }): Promise<CacheRun<PrecacheResult>>;
  /**
   * Has an image fetched again and again: a Temporal Schedule, whose id is returned. Asked for again, the new interval
   * counts; 0 removes it.
   */
  precacheEvery(
    image: unknown,
    options: OnHost & { readonly pin?: boolean; readonly everySeconds: number },
  ): Promise<{ readonly scheduleId: string; readonly everySeconds: number }>;
}

/** Maintenance of image caches over one connection. Each method throws EverbootFailure, and nothing else on purpose. */
export function cacheClient(context: ClientContext): CacheClient {
  return {
    async list({ host } = {}) {
      const run = await startCacheWork(context, {
        workflowType: 'listCache',
        host,
        inputOn: (name) => ({ host: name }),
        once: null,
        summary: 'list the image cache',
      });
      return await run.result();
    },
    async sweep({ host, dryRun = false } = {}) {
      const summary = dryRun ? 'list removals of a sweep of the image cache' : 'sweep the image cache';
      const once = dryRun ? null : 'sweep';
      const inputOn = (name: string) => ({ host: name, dryRun });
      return await startCacheWork(context, { workflowType: 'sweepCache', host, inputOn, once, summary });
    },
    async scrub({ host, names, force = false } = {}) {
      // A scrub of what is due is the same whoever asks; one of certain files is not.
      const once = names === undefined && !force ? 'scrub' : null;
      const summary = names === undefined ? 'scrub the image cache' : `scrub ${names.join(', ')}`;
      const inputOn = (name: string) => ({ host: name, names: names ?? null, force });
      return await startCacheWork(context, { workflowType: 'scrubCache', host, inputOn, once, summary });
    },
    async pin(name, { host, pinned = true } = {}) {
      const summary = `${pinned ? 'pin' : 'unpin'} ${name}`;
      const inputOn = (hostName: string) => ({ host: hostName, name, pinned });
      const run = await startCacheWork(context, { workflowType: 'pinCache', host, inputOn, once: null, summary });
      return await run.result();
    },
    precache: async (image, { host, pin = false } = {}) =>
      await startCacheWork(context, precacheWork(parseImageReference(image), host, pin)),
    precacheEvery: async (image, { host, pin = false, everySeconds }) =>
      await scheduleCacheWork(context, precacheWork(parseImageReference(image), host, pin), everySeconds),
  };
}

function precacheWork(image: ImageReference, host: string | undefined, pin: boolean): RepeatableWork {
  const digest = createHash('sha256').update(JSON.stringify(image)).digest('hex').slice(0, 16);
  const summary = `fetch ${imageName(image)} into the image cache`;
  const inputOn = (name: string) => ({ host: name, image, pin });
  return { workflowType: 'precacheImage', host, inputOn, once: `precache/${digest}`, summary };
}
