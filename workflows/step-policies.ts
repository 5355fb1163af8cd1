import type { HostActivities } from '../domain/host-activities.ts';
import type { Lane } from '../domain/task-queues.ts';

interface StepPolicy {
  readonly lane: Lane;
  /** What the step is called in the table of steps. */
  readonly title: string;
  /** An undo never gives up: what it has to remove would stay for ever. */
  readonly undo?: boolean;
}

/**
 * Where each step runs. What may write for long goes to `fetch` or `disk`, which have few slots; everything that must
 * never wait behind it goes to `light`.
 */
export const stepPolicies = {
  planInstance: { lane: 'light', title: 'plan' },
  reserveInstance: { lane: 'light', title: 'reserve' },
  claimBaseImage: { lane: 'light', title: 'claim image' },
  downloadImage: { lane: 'fetch', title: 'download' },
  verifyImage: { lane: 'disk', title: 'verify' },
  convertImage: { lane: 'disk', title: 'convert' },
  publishBaseImage: { lane: 'light', title: 'publish' },
  createRootDisk: { lane: 'disk', title: 'root disk' },
  createEphemeralDisk: { lane: 'disk', title: 'ephemeral disk' },
  createSwapDisk: { lane: 'disk', title: 'swap disk' },
  copyBootFile: { lane: 'disk', title: 'boot file' },
  writeConfigDrive: { lane: 'light', title: 'config drive' },
  defineDomain: { lane: 'light', title: 'define' },
  startDomain: { lane: 'light', title: 'start' },
  markReady: { lane: 'light', title: 'mark ready' },
  releaseInstance: { lane: 'light', title: 'remove files', undo: true },
  removeDomain: { lane: 'light', title: 'remove domain', undo: true },
  readInstance: { lane: 'light', title: 'read record' },
  deleteDomain: { lane: 'light', title: 'remove domain', undo: true },
  deleteFiles: { lane: 'light', title: 'remove files', undo: true },
  pingHost: { lane: 'light', title: 'ping' },
} as const satisfies Record<keyof HostActivities, StepPolicy>;

export type StepName = keyof typeof stepPolicies;

export function isUndo(step: StepName): boolean {
  const policy: StepPolicy = stepPolicies[step];
  return policy.undo === true;
}
