import type { HostActivities } from './host-activities.ts';
import type { Lane } from './task-queues.ts';

/**
 * `forward` brings a boot closer to its instance. `undo` takes back what a boot made, and is retried whatever it fails
 * with. `removal` takes an instance away permanently. `maintenance` inspects a host or maintains it: whoever asked for
 * it asks again where it failed.
 */
export type StepKind = 'forward' | 'undo' | 'removal' | 'maintenance';

/**
 * A forward step's result while its boot is parked. `kept`: it is there when the boot resumes, and the step is not done
 * again. `renewed`: it is kept, and the step is done again all the same, since a reboot of the host takes the result
 * away. `shared`: it is in the cache and not this boot's alone, so it is not promised, and the step is done again.
 */
type WhenParked = 'kept' | 'renewed' | 'shared';

interface EveryStep {
  /**
   * Steps that may write for long go to `fetch` or `disk`, which have few slots; those that must never wait behind them
   * to `light`.
   */
  readonly lane: Lane;
  /** True: an operation may begin with it, see `firstContact`. */
  readonly opens: boolean;
  /** `sometimes`: where the image, the storage or the state of the host asks for it. */
  readonly runsPrograms: 'always' | 'sometimes' | 'never';
}

interface ForwardStep extends EveryStep {
  readonly kind: 'forward';
  readonly whenParked: WhenParked;
}

/** Only a boot parks, and it parks between forward steps. */
interface OtherStep extends EveryStep {
  readonly kind: Exclude<StepKind, 'forward'>;
  readonly whenParked: null;
}

/** Every step of a host, forward steps in the order of a boot, undos in the order in which they run. */
export const steps = {
  planInstance: { kind: 'forward', lane: 'light', opens: true, whenParked: 'kept', runsPrograms: 'sometimes' },
  reserveInstance: { kind: 'forward', lane: 'light', opens: false, whenParked: 'kept', runsPrograms: 'sometimes' },
  claimBaseImage: { kind: 'forward', lane: 'light', opens: false, whenParked: 'shared', runsPrograms: 'never' },
  downloadImage: { kind: 'forward', lane: 'fetch', opens: false, whenParked: 'shared', runsPrograms: 'sometimes' },
  verifyImage: { kind: 'forward', lane: 'disk', opens: false, whenParked: 'shared', runsPrograms: 'always' },
  convertImage: { kind: 'forward', lane: 'disk', opens: false, whenParked: 'shared', runsPrograms: 'always' },
  publishBaseImage: { kind: 'forward', lane: 'light', opens: false, whenParked: 'shared', runsPrograms: 'never' },
  createRootDisk: { kind: 'forward', lane: 'disk', opens: false, whenParked: 'kept', runsPrograms: 'always' },
  createEphemeralDisk: { kind: 'forward', lane: 'disk', opens: false, whenParked: 'kept', runsPrograms: 'always' },
  createSwapDisk: { kind: 'forward', lane: 'disk', opens: false, whenParked: 'kept', runsPrograms: 'always' },
  copyBootFile: { kind: 'forward', lane: 'disk', opens: false, whenParked: 'kept', runsPrograms: 'always' },
  writeConfigDrive: { kind: 'forward', lane: 'light', opens: false, whenParked: 'kept', runsPrograms: 'always' },
  growFileSystem: { kind: 'forward', lane: 'disk', opens: false, whenParked: 'kept', runsPrograms: 'always' },
  injectFiles: { kind: 'forward', lane: 'disk', opens: false, whenParked: 'kept', runsPrograms: 'always' },
  extractRootFileSystem: { kind: 'forward', lane: 'disk', opens: false, whenParked: 'kept', runsPrograms: 'always' },
  defineDomain: { kind: 'forward', lane: 'light', opens: false, whenParked: 'renewed', runsPrograms: 'sometimes' },
  startDomain: { kind: 'forward', lane: 'light', opens: false, whenParked: 'renewed', runsPrograms: 'sometimes' },
  markReady: { kind: 'forward', lane: 'light', opens: false, whenParked: 'kept', runsPrograms: 'sometimes' },

  removeDomain: { kind: 'undo', lane: 'light', opens: false, whenParked: null, runsPrograms: 'sometimes' },
  releaseInstance: { kind: 'undo', lane: 'light', opens: false, whenParked: null, runsPrograms: 'sometimes' },
  removeOrphans: { kind: 'undo', lane: 'light', opens: false, whenParked: null, runsPrograms: 'sometimes' },

  deleteDomain: { kind: 'removal', lane: 'light', opens: false, whenParked: null, runsPrograms: 'sometimes' },
  deleteFiles: { kind: 'removal', lane: 'light', opens: false, whenParked: null, runsPrograms: 'sometimes' },

  readInstance: { kind: 'maintenance', lane: 'light', opens: true, whenParked: null, runsPrograms: 'never' },
  pingHost: { kind: 'maintenance', lane: 'light', opens: false, whenParked: null, runsPrograms: 'never' },
  listCachedFiles: { kind: 'maintenance', lane: 'light', opens: true, whenParked: null, runsPrograms: 'sometimes' },
  sweepCachedFiles: { kind: 'maintenance', lane: 'light', opens: true, whenParked: null, runsPrograms: 'sometimes' },
  // It reads at a bounded rate of its own, so it needs none of the few slots of the builds.
  scrubCachedFiles: { kind: 'maintenance', lane: 'light', opens: true, whenParked: null, runsPrograms: 'sometimes' },
  pinCachedFile: { kind: 'maintenance', lane: 'light', opens: true, whenParked: null, runsPrograms: 'never' },
  planFetch: { kind: 'maintenance', lane: 'light', opens: true, whenParked: null, runsPrograms: 'never' },
  reconcileHost: { kind: 'maintenance', lane: 'light', opens: true, whenParked: null, runsPrograms: 'sometimes' },
  resumeGuests: { kind: 'maintenance', lane: 'light', opens: false, whenParked: null, runsPrograms: 'sometimes' },
} as const satisfies Record<keyof HostActivities, ForwardStep | OtherStep>;

/** A step, by its activity's name. */
export type StepName = keyof typeof steps;

type StepsWith<Nature> = { [Name in StepName]: (typeof steps)[Name] extends Nature ? Name : never }[StepName];

export type OpeningStep = StepsWith<{ readonly opens: true }>;
export type StepOfKind<Kind extends StepKind> = StepsWith<{ readonly kind: Kind }>;

export const stepNames = Object.keys(steps) as readonly StepName[];

/** All steps of a kind, in the table's order. */
export function stepsOfKind<Kind extends StepKind>(kind: Kind): readonly StepOfKind<Kind>[] {
  return stepNames.filter((name): name is StepOfKind<Kind> => steps[name].kind === kind);
}

/** Whether an activity, by its type's name, is an undo. One of another release may be no step at all. */
export function isUndoStep(activityType: string): boolean {
  return stepsOfKind('undo').some((name) => name === activityType);
}

/**
 * Whether a step has no limit over all its attempts: what an undo or a removal does not reach would stay on its host,
 * so they wait for the host however long that takes.
 */
export function isEndless(step: StepName): boolean {
  const { kind } = steps[step];
  return kind === 'undo' || kind === 'removal';
}

/** Whether what a step made counts as kept while its operation is parked. */
export function isKeptWhileParked(step: StepName): boolean {
  const { whenParked } = steps[step];
  return whenParked === 'kept' || whenParked === 'renewed';
}

/**
 * Whether what a step made is there for certain when its operation resumes, so that the step need not be done again.
 */
export function standsOverParking(step: StepName): boolean {
  return steps[step].whenParked === 'kept';
}
