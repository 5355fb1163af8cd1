import { createHash } from 'node:crypto';
import type { CacheListing, PrecacheResult, ScrubResult, SweepReport } from '../domain/cache.ts';
import type { ImageReference } from '../domain/image.ts';
import { parseImageReference } from '../domain/parse-spec.ts';
import { type CacheRun, type CacheWork, startCacheWork } from './cache-run.ts';
import type { ClientContext } from './client-context.ts';
import { scheduleCacheWork } from './schedule-cache-work.ts';
import { imageName } from './ui-texts.ts';

export interface OnHost {
  /** The one host that polls where it is not given. */
  readonly host?: string;
}

/** What a control plane does with the image caches of hosts. */
export interface CacheClient {
  list(options?: OnHost): Promise<CacheListing>;
  /** Removes what is old, over the budget or left over, and used by nothing. */
  sweep(options?: OnHost & { readonly dryRun?: boolean }): Promise<CacheRun<SweepReport>>;
  /** Compares cached images with their hashes, those that are due or those that are named. */
  scrub(
    options?: OnHost & { readonly names?: readonly string[]; readonly force?: boolean },
  ): Promise<CacheRun<ScrubResult>>;
  /** Keeps a cached file from every sweep, or lets it go again; says whether that changed anything. */
  pin(name: string, options?: OnHost & { readonly pinned?: boolean }): Promise<{ readonly changed: boolean }>;
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

/** The care of image caches over one connection. Each method throws EverbootFailure, and nothing else on purpose. */
export function cacheClient(context: ClientContext): CacheClient {
  return {
    async list({ host } = {}) {
      const work = { workflowType: 'listCache', host, input: {}, once: null, summary: 'list the image cache' } as const;
      return await (await startCacheWork<CacheListing>(context, work)).result();
    },
    async sweep({ host, dryRun = false } = {}) {
      const summary = dryRun ? 'see what a sweep would remove' : 'sweep the image cache';
      const once = dryRun ? null : 'sweep';
      return await startCacheWork(context, { workflowType: 'sweepCache', host, input: { dryRun }, once, summary });
    },
    async scrub({ host, names, force = false } = {}) {
      // A scrub of what is due is the same whoever asks; one of certain files is not.
      const once = names === undefined && !force ? 'scrub' : null;
      const input = { names: names ?? null, force };
      return await startCacheWork(context, {
        ...{ workflowType: 'scrubCache', host, input, once },
        summary: names === undefined ? 'scrub the image cache' : `scrub ${names.join(', ')}`,
      });
    },
    async pin(name, { host, pinned = true } = {}) {
      const summary = `${pinned ? 'pin' : 'unpin'} ${name}`;
      const input = { name, pinned };
      const work = { workflowType: 'pinCache', host, input, once: null, summary } as const;
      return await (await startCacheWork<{ readonly changed: boolean }>(context, work)).result();
    },
    precache: async (image, { host, pin = false } = {}) =>
      await startCacheWork(context, precacheWork(parseImageReference(image), host, pin)),
    precacheEvery: async (image, { host, pin = false, everySeconds }) =>
      await scheduleCacheWork(context, precacheWork(parseImageReference(image), host, pin), everySeconds),
  };
}

function precacheWork(image: ImageReference, host: string | undefined, pin: boolean): CacheWork & { once: string } {
  const digest = createHash('sha256').update(JSON.stringify(image)).digest('hex').slice(0, 16);
  const summary = `fetch ${imageName(image)} into the image cache`;
  return { workflowType: 'precacheImage', host, input: { image, pin }, once: `precache/${digest}`, summary };
}
