import { isCancellation, uuid4 } from '@temporalio/workflow';
import { reportIn } from '../domain/application-failure.ts';
import type {
  CacheListing,
  DamagedBase,
  PrecacheResult,
  RefetchedBase,
  ScrubResult,
  SweepReport,
} from '../domain/cache.ts';
import { sentenceOf } from '../domain/failure-report.ts';
import type { PinReport } from '../domain/host-activities.ts';
import type { BaseImage, BaseImageOrder } from '../domain/image.ts';
import type { WorkflowInput } from '../domain/workflows.ts';
import { haveBaseImage, imageLabel } from './fetch-base-image.ts';
import { firstContact, type HostSteps, stepsOn } from './host-steps.ts';
import { type OperationTracker, trackOperation } from './operation-tracker.ts';
import { undoOnFailure } from './undo-on-failure.ts';

/** Lists what is in a host's image cache, and what needs it. */
export async function listCache({ host }: WorkflowInput<'listCache'>): Promise<CacheListing> {
  const tracker = trackOperation('cache', host, 'Reading');
  const listing = await firstContact(host, tracker, 'listCachedFiles', `list the image cache of ${host}`, undefined);
  tracker.enter('Done');
  return listing;
}

/** Removes from a host's image cache what is old, over the budget or orphaned, and used by nothing. */
export async function sweepCache({ host, dryRun }: WorkflowInput<'sweepCache'>): Promise<SweepReport> {
  const tracker = trackOperation('cache', host, 'Sweeping');
  const summary = `${dryRun ? 'list removals of a sweep of' : 'sweep'} the image cache of ${host}`;
  const report = await firstContact(host, tracker, 'sweepCachedFiles', summary, { dryRun });
  tracker.enter('Done');
  return report;
}

/**
 * Compares a host's cached images with the hashes that were recorded of them. A damaged one is quarantined, the
 * instances that use it are named, and it is fetched again by its recorded digest, so that its overlays get the same
 * bytes.
 */
export async function scrubCache({ host, names, force }: WorkflowInput<'scrubCache'>): Promise<ScrubResult> {
  const tracker = trackOperation('cache', host, 'Scrubbing');
  const summary = `compare ${names === null ? 'the cached images' : names.join(', ').slice(0, 150)} with their hashes`;
  const report = await firstContact(host, tracker, 'scrubCachedFiles', summary, { names, force });
  const steps = stepsOn(host, tracker);
  const refetched: RefetchedBase[] = [];
  for (const damaged of report.damaged) refetched.push(await fetchAgain(steps, tracker, damaged));
  tracker.enter('Done');
  return { ...report, refetched };
}

/** Keeps a cached file from every sweep of its host, or lets it go again. */
export async function pinCache({ host, name, pinned }: WorkflowInput<'pinCache'>): Promise<PinReport> {
  const tracker = trackOperation('cache', host, 'Reading');
  const summary = `${pinned ? 'pin' : 'unpin'} ${name.slice(0, 150)}`;
  const report = await firstContact(host, tracker, 'pinCachedFile', summary, { name, pinned });
  tracker.enter('Done');
  return report;
}

/** Has an image in a host's cache before any instance asks for it. */
export async function precacheImage({ host, image, pin }: WorkflowInput<'precacheImage'>): Promise<PrecacheResult> {
  const tracker = trackOperation('cache', host, 'Fetching');
  const steps = stepsOn(host, tracker);
  const order = await firstContact(host, tracker, 'planFetch', 'look the image up at its source', { image });
  // Pinned while the fetch's claim still keeps it, so that no sweep gets in between.
  const base = await withoutInstance(steps, tracker, order, async ({ cacheName }) => {
    if (pin) await steps.pinCachedFile(`pin ${imageLabel(order)}`, { name: cacheName, pinned: true });
  });
  tracker.enter('Done');
  return { host, title: order.image.title, base, pinned: pin };
}

async function fetchAgain(
  steps: HostSteps,
  tracker: OperationTracker,
  { name, order }: DamagedBase,
): Promise<RefetchedBase> {
  if (order === null) {
    const message = 'everboot does not know where this image came from';
    return { name, base: null, failure: { code: 'ImageNotFound', message } };
  }
  try {
    return { name, base: await withoutInstance(steps, tracker, order, async () => undefined), failure: null };
  } catch (error) {
    if (isCancellation(error)) throw error;
    // The other damaged images are no worse off for this one.
    const report = reportIn(error);
    const message = report === undefined ? String(error) : sentenceOf(report);
    return { name, base: null, failure: { code: report?.code ?? 'InternalError', message } };
  }
}

/**
 * Fetches an image under a claim of its own, which is released when the file is in the cache, or the fetch has failed.
 */
async function withoutInstance(
  steps: HostSteps,
  tracker: OperationTracker,
  base: BaseImageOrder,
  whileClaimed: (base: BaseImage) => Promise<void>,
): Promise<BaseImage> {
  const claim = { instanceId: uuid4(), operationId: uuid4() };
  const release = () => steps.releaseInstance(`release the claim on ${imageLabel(base)}`, { claim });
  return await undoOnFailure(tracker, async (undo) => {
    undo('releaseInstance', release);
    const fetched = await haveBaseImage(steps, { claim, instanceName: 'the cache', base }, () => undefined);
    await whileClaimed(fetched);
    await release();
    return fetched;
  });
}
