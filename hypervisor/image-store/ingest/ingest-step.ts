import { type Claim, claimName } from '../../../domain/claim.ts';
import { EverbootFailure } from '../../../domain/failures.ts';
import type { FetchOrder } from '../../../domain/host-activities.ts';
import type { HostPaths } from '../../../domain/host-paths.ts';
import type { BaseImage } from '../../../domain/image.ts';
import type { StepProgress, WorkControl } from '../../../domain/step-progress.ts';
import { lockKeys } from '../../locks/lock-keys.ts';
import { type WorkLock, withLock } from '../../locks/with-lock.ts';
import { busyFailure } from '../claim-base-image.ts';
import { claimsOn } from '../claims.ts';
import { dropLease, reportLease, takeLease } from '../fetch-lease.ts';
import { rememberRefusal } from '../refusals.ts';
import { findOrderedBase } from '../signed-base.ts';

/** How long a step waits for a zombie attempt that still writes. */
const lockWaitMs = 15_000;

/**
 * Runs one step of an ingestion: only while this build has its claim and the lease, and under the kernel lock that
 * keeps every other writer of these files out. When the file is in the cache already, the step has nothing to do and
 * returns it. A refusal of the image is remembered for the builds that wait; one of the cached file is not, as it goes
 * with the file.
 */
export async function underFetchLock<Made>(
  paths: HostPaths,
  { claim, instanceName, base: order }: FetchOrder,
  control: WorkControl,
  step: (lock: WorkLock, control: WorkControl) => Promise<Made>,
): Promise<Made | BaseImage> {
  await assertClaimed(paths, order.cacheName, claim);
  const { mine, lease } = await takeLease(paths, order.cacheName, { claim, instanceName });
  const whenBusy = (): never => {
    if (!mine) throw busyFailure(order, lease);
    throw new EverbootFailure('HostIoError', `an earlier attempt still writes ${order.cacheName} in the cache`);
  };
  const waiting = { waitMs: lockWaitMs, signal: control.signal, whenBusy };
  return await withLock(paths, lockKeys.fetch(order.cacheName), waiting, async (lock) => {
    const finished = await findOrderedBase(paths, order);
    if (finished !== undefined) return finished;
    if (!mine) throw busyFailure(order, lease);
    await assertClaimed(paths, order.cacheName, claim).catch(async (error: unknown) => {
      await dropLease(paths, order.cacheName, claim);
      throw error;
    });
    const reporter = leaseReporter((progress) => reportLease(paths, order.cacheName, lease, progress), control);
    try {
      return await step(lock, reporter.control);
    } catch (error) {
      await rememberRefusal(paths, order, error);
      throw error;
    } finally {
      await reporter.settled();
    }
  });
}

/**
 * Throws OperationSuperseded where the build has released its claim. A zombie attempt may come here after the undo,
 * which takes the claim away first and then waits for the lock.
 */
async function assertClaimed(paths: HostPaths, cacheName: string, claim: Claim): Promise<void> {
  if ((await claimsOn(paths, cacheName)).includes(claimName(claim))) return;
  throw new EverbootFailure('OperationSuperseded', `this fetch of ${cacheName} came too late: its claim was released`);
}

/** Passes progress on to the lease, at most once a second and one write at a time. */
function leaseReporter(report: (progress: StepProgress) => Promise<void>, control: WorkControl) {
  let lastMs = 0;
  let writing: Promise<void> = Promise.resolve();
  const onProgress = (progress: StepProgress): void => {
    control.onProgress(progress);
    if (Date.now() - lastMs < 1000) return;
    lastMs = Date.now();
    // A lease that cannot be written makes others wait for nothing; it is no reason to stop the fetch.
    writing = writing.then(() => report(progress)).catch(() => undefined);
  };
  return { control: { signal: control.signal, onProgress }, settled: () => writing };
}
