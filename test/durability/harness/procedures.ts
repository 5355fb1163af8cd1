import type { BootMode } from '../../../domain/spec.ts';
import { type StepName, type StepOfKind, steps, stepsOfKind } from '../../../domain/steps.ts';

export type Step = StepName;

/**
 * The operations on an instance: it is created; created, but never made ready, so that it is undone; deleted after it
 * was created; removed as the orphan of an abandoned host.
 */
export type ProcedureKind = 'create' | 'undo' | 'delete' | 'cleanup';

export interface Procedure {
  readonly name: string;
  readonly kind: ProcedureKind;
  readonly boot: BootMode;
  readonly disks: 'qcow2' | 'raw';
  /** A file that is no kernel, which a guest that is really started goes without. */
  readonly kernel: boolean;
  /** The steps that faults are injected into: those that the procedure runs, each of them once or more. */
  readonly steps: readonly Step[];
  /** `every`: every fault is injected into each step. `pairs`: each step and each way at least once. */
  readonly injections: 'every' | 'pairs';
}

type InjectedElsewhere = Readonly<
  Record<Exclude<StepOfKind<'maintenance'>, 'readInstance'>, string> & Partial<Record<StepOfKind<'forward'>, string>>
>;

/**
 * Steps of what needs an appliance or a container, which costs minutes, and the test file that injects faults into
 * each.
 */
export const injectedElsewhere = {
  growFileSystem: 'injection-steps.test.ts',
  injectFiles: 'injection-steps.test.ts',
  extractRootFileSystem: 'container-root-steps.test.ts',
  listCachedFiles: 'cache-maintenance.test.ts',
  sweepCachedFiles: 'cache-maintenance.test.ts',
  scrubCachedFiles: 'cache-maintenance.test.ts',
  pinCachedFile: 'cache-maintenance.test.ts',
  planFetch: 'cache-maintenance.test.ts',
  pingHost: 'away-host.test.ts',
  reconcileHost: 'reconcile-killed.test.ts',
  resumeGuests: 'resume-guests.test.ts',
} as const satisfies InjectedElsewhere;

/**
 * The forward steps of a boot: a new one is injected here, or does not run in an undisturbed boot and fails a test by
 * that.
 */
function bootSteps({ boot, kernel }: Pick<Procedure, 'boot' | 'kernel'>): Step[] {
  const left: readonly string[] = [
    ...Object.keys(injectedElsewhere),
    // A guest that is really started goes without the file that is no kernel.
    ...(kernel ? [] : (['copyBootFile'] satisfies Step[])),
    ...(boot === 'disks' ? (['defineDomain'] satisfies Step[]) : []),
    ...(boot === 'running' ? [] : (['startDomain'] satisfies Step[])),
  ];
  return stepsOfKind('forward').filter((step) => !left.includes(step));
}

/** The undos of a boot; an abandoned host has one of its own. */
export const undoSteps = stepsOfKind('undo').filter((step) => step !== 'removeOrphans');

/**
 * Every procedure, from which all cases come. A step that is in none, and not in `injectedElsewhere`, fails a test by
 * its name.
 */
export const procedures: readonly Procedure[] = [
  {
    ...{ name: 'create disks, qcow2', kind: 'create', boot: 'disks', disks: 'qcow2', kernel: true },
    ...{ steps: bootSteps({ boot: 'disks', kernel: true }), injections: 'every' },
  },
  {
    ...{ name: 'define a domain', kind: 'create', boot: 'defined', disks: 'qcow2', kernel: true },
    ...{ steps: ['defineDomain'], injections: 'every' },
  },
  {
    ...{ name: 'start a domain', kind: 'create', boot: 'running', disks: 'qcow2', kernel: false },
    ...{ steps: ['startDomain'], injections: 'every' },
  },
  {
    ...{ name: 'undo', kind: 'undo', boot: 'defined', disks: 'qcow2', kernel: true },
    ...{ steps: undoSteps, injections: 'every' },
  },
  {
    ...{ name: 'delete', kind: 'delete', boot: 'defined', disks: 'qcow2', kernel: true },
    ...{ steps: ['readInstance', ...stepsOfKind('removal')], injections: 'every' },
  },
  {
    ...{ name: 'clean up a host', kind: 'cleanup', boot: 'defined', disks: 'qcow2', kernel: true },
    ...{ steps: ['removeOrphans'], injections: 'every' },
  },
  {
    ...{ name: 'create disks, raw', kind: 'create', boot: 'disks', disks: 'raw', kernel: true },
    ...{ steps: bootSteps({ boot: 'disks', kernel: true }), injections: 'pairs' },
  },
  {
    ...{ name: 'create defined, raw', kind: 'create', boot: 'defined', disks: 'raw', kernel: true },
    ...{ steps: bootSteps({ boot: 'defined', kernel: true }), injections: 'pairs' },
  },
  {
    ...{ name: 'create running, qcow2', kind: 'create', boot: 'running', disks: 'qcow2', kernel: false },
    ...{ steps: bootSteps({ boot: 'running', kernel: false }), injections: 'pairs' },
  },
  {
    ...{ name: 'create running, raw', kind: 'create', boot: 'running', disks: 'raw', kernel: false },
    ...{ steps: bootSteps({ boot: 'running', kernel: false }), injections: 'pairs' },
  },
];

/**
 * Whether a step runs programs in a procedure: with them, a program's own death is a fault too. Proven by undisturbed
 * runs. Of the downloads only a kernel's runs one.
 */
export function runsPrograms(step: Step, { kernel }: Pick<Procedure, 'kernel'>): boolean {
  return steps[step].runsPrograms === 'always' || (step === 'downloadImage' && kernel);
}
