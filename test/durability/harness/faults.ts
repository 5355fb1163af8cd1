import { steps } from '../../../domain/steps.ts';
import { type Procedure, runsPrograms, type Step } from './procedures.ts';

/** The action on a step, by the worker that runs it, see `inject-faults.ts`. */
export type FaultAction =
  | 'throwBefore'
  | 'throwAfter'
  | 'throwAndPass'
  | 'runTwice'
  | 'hold'
  | 'zombieBeside'
  | 'zombieAfter'
  | 'killBefore'
  | 'killDuring'
  | 'killAfter'
  | 'killProgram'
  | 'fillDisk'
  | 'breakDisk';

/** How an operation with a fault ends. Each of these is checked, see `check-outcome.ts`. */
export type Outcome = 'whole' | 'undone' | 'cancelled' | 'swept' | 'gone' | 'again';

export interface Fault {
  /** As the table's head says it. */
  readonly title: string;
  readonly action: FaultAction;
  /** How often it is injected; absent: whenever the step runs. */
  readonly times?: number;
  /** True: the worker is a process of its own, which can be killed. */
  readonly ownProcess?: boolean;
  /** True: it goes by waiting, since a worker's death shows by its heartbeats. */
  readonly waits?: boolean;
  /** Where the instance's files lie. */
  readonly medium?: 'small' | 'failing';
  /** The action from outside while the step is held. */
  readonly outside?: 'cancel' | 'terminate' | 'drain' | 'killTemporal';
}

export const faults = {
  throwBefore: { title: 'fails permanently before its effect', action: 'throwBefore' },
  throwAfter: { title: 'fails permanently after its effect', action: 'throwAfter' },
  throwOnce: { title: 'fails once', action: 'throwAndPass', times: 1 },
  failFive: { title: 'fails five times', action: 'throwAndPass', times: 5 },
  runTwice: { title: 'runs twice', action: 'runTwice' },
  cancel: { title: 'operation cancelled', action: 'hold', times: 1, outside: 'cancel' },
  terminate: { title: 'workflow terminated', action: 'hold', times: 1, outside: 'terminate' },
  lateBeside: { title: 'abandoned, writes beside the next attempt', action: 'zombieBeside', times: 1, waits: true },
  lateAfter: { title: 'abandoned, writes after the end', action: 'zombieAfter', times: 1, waits: true },
  killBefore: { title: 'worker killed before', action: 'killBefore', times: 1, ownProcess: true, waits: true },
  killDuring: { title: 'worker killed during', action: 'killDuring', times: 1, ownProcess: true, waits: true },
  killAfter: { title: 'worker killed after', action: 'killAfter', times: 1, ownProcess: true, waits: true },
  killProgram: { title: 'its program killed', action: 'killProgram', times: 1, ownProcess: true },
  drain: { title: 'worker asked to stop', action: 'hold', times: 1, ownProcess: true, outside: 'drain' },
  killTemporal: { title: 'Temporal killed and restarted', action: 'hold', times: 1, outside: 'killTemporal' },
  fillDisk: { title: 'disk full', action: 'fillDisk', times: 1, medium: 'small' },
  breakDisk: { title: 'disk fails (EIO)', action: 'breakDisk', times: 1, medium: 'failing' },
} as const satisfies Record<string, Fault>;

export type FaultName = keyof typeof faults;

export const faultNames = Object.keys(faults) as readonly FaultName[];

/** Whether a fault can be at a step at all. */
export function canInject(fault: FaultName, step: Step, procedure: Procedure): boolean {
  // An undo is tried again whatever it fails with.
  const isTireless = steps[step].kind === 'undo';
  if (fault === 'killProgram') return runsPrograms(step, procedure);
  if (fault === 'throwBefore' || fault === 'throwAfter') return !isTireless;
  if (fault === 'failFive') return isTireless;
  return true;
}

/** How the operation has to end when a fault is injected into one of its steps. */
export function expectedOutcome({ kind }: Procedure, step: Step, fault: FaultName): Outcome {
  // The I/O error is libvirt's there, and its refusal of a domain is final.
  if (fault === 'breakDisk' && step === 'startDomain') return 'undone';
  const isFinal = ['throwBefore', 'throwAfter', 'fillDisk'].includes(fault);
  switch (kind) {
    case 'undo':
      return fault === 'terminate' ? 'swept' : 'undone';
    case 'cleanup':
      return fault === 'cancel' || fault === 'terminate' ? 'again' : 'gone';
    case 'delete':
      if (fault === 'cancel' || fault === 'terminate') return 'again';
      return isFinal && fault !== 'fillDisk' ? 'again' : 'gone';
    case 'create':
      if (fault === 'cancel') return 'cancelled';
      if (fault === 'terminate') return step === 'markReady' ? 'whole' : 'swept';
      return isFinal ? 'undone' : 'whole';
  }
}
