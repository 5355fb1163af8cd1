import type { HostActivities } from '../domain/host-activities.ts';
import type { Lane } from '../domain/task-queues.ts';

interface StepPolicy {
  readonly lane: Lane;
  /** No limit over all its attempts: a deletion or an undo may have to wait for its host, however long. */
  readonly endless?: boolean;
  /** Done again when a parked operation goes on: what it found or left in the cache is not its operation's alone. */
  readonly afresh?: boolean;
  /** Kept while an operation is parked, and yet done again when it goes on: a restart of the machine takes it away. */
  readonly perishable?: boolean;
}

/**
 * Where each step runs. What may write for long goes to `fetch` or `disk`, which have few slots; everything that must
 * never wait behind it goes to `light`.
 */
export const stepPolicies = {
  planInstance: { lane: 'light' },
  reserveInstance: { lane: 'light' },
  claimBaseImage: { lane: 'light', afresh: true },
  downloadImage: { lane: 'fetch', afresh: true },
  verifyImage: { lane: 'disk', afresh: true },
  convertImage: { lane: 'disk', afresh: true },
  publishBaseImage: { lane: 'light', afresh: true },
  createRootDisk: { lane: 'disk' },
  extractRootFileSystem: { lane: 'disk' },
  createEphemeralDisk: { lane: 'disk' },
  createSwapDisk: { lane: 'disk' },
  copyBootFile: { lane: 'disk' },
  writeConfigDrive: { lane: 'light' },
  growFileSystem: { lane: 'disk' },
  injectFiles: { lane: 'disk' },
  defineDomain: { lane: 'light', perishable: true },
  startDomain: { lane: 'light', perishable: true },
  markReady: { lane: 'light' },
  releaseInstance: { lane: 'light', endless: true },
  removeDomain: { lane: 'light', endless: true },
  removeRemains: { lane: 'light', endless: true },
  readInstance: { lane: 'light' },
  deleteDomain: { lane: 'light', endless: true },
  deleteFiles: { lane: 'light', endless: true },
  pingHost: { lane: 'light' },
  listCachedFiles: { lane: 'light' },
  sweepCachedFiles: { lane: 'light' },
  // It reads at a bounded rate of its own, so it needs none of the few slots of the builds.
  scrubCachedFiles: { lane: 'light' },
  pinCachedFile: { lane: 'light' },
  planFetch: { lane: 'light' },
  tendHost: { lane: 'light' },
  resumeGuests: { lane: 'light' },
} as const satisfies Record<keyof HostActivities, StepPolicy>;

export type StepName = keyof typeof stepPolicies;

export function isEndless(step: StepName): boolean {
  const policy: StepPolicy = stepPolicies[step];
  return policy.endless === true;
}

/** Whether what a step made counts as kept while the operation is parked. */
export function isKeptWhileParked(step: StepName): boolean {
  const { endless, afresh }: StepPolicy = stepPolicies[step];
  return endless !== true && afresh !== true;
}

/** Whether what a step made is there for certain when the operation goes on, so that the step need not be done again. */
export function standsOverParking(step: StepName): boolean {
  const { perishable }: StepPolicy = stepPolicies[step];
  return isKeptWhileParked(step) && perishable !== true;
}
