import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { Host } from '../../../activities/context/host.ts';
import type { StepOrder } from './at-call.ts';
import { asActivity, asProcess } from './step-context.ts';
import { type Tree, treeOf } from './tree.ts';

/** A step, what it finds, and what takes it back. */
export interface CrashCase {
  readonly module: string;
  readonly name: string;
  /** Makes a host in a new folder, with what the step finds there. */
  prepare(folder: string): Promise<Host>;
  order(host: Host): unknown;
  /** Takes everything back that was made for the instance. */
  undo(host: Host): Promise<void>;
}

/** A host in a folder of its own, with a step that is about to run there. */
export interface Lane {
  readonly folder: string;
  /** Where the tracer notes the calls of the step. */
  readonly log: string;
  readonly host: Host;
  readonly before: Tree;
  readonly crash: CrashCase;
  readonly step: StepOrder;
  /** Runs the step in this process, which continues with nothing that it left for later. */
  readonly runAgain: () => Promise<unknown>;
}

const run = promisify(execFile);

/** Makes the host that a case wants. It goes with the test. */
export async function makeLane(t: TestContext, crash: CrashCase): Promise<Lane> {
  const parent = await mkdtemp('/var/tmp/everboot-crash-');
  t.after(() => rm(parent, { recursive: true, force: true }));
  const folder = join(parent, 'host');
  await mkdir(folder);
  const host = await crash.prepare(folder);
  await copyFolder(folder, copyOf(folder));
  const { [crash.name]: step } = await import(`../../../activities/${crash.module}.ts`);
  const order = crash.order(host);
  return {
    folder,
    log: join(parent, 'calls'),
    host,
    crash,
    before: await treeOf(folder),
    step: { module: crash.module, name: crash.name, host, order },
    runAgain: () => asProcess(() => asActivity(() => step(host, order))),
  };
}

/** Makes the host's folder again what it was before the step. */
export async function restore(folder: string): Promise<void> {
  await copyFolder(copyOf(folder), folder);
}

function copyOf(folder: string): string {
  return `${folder}.before`;
}

/** Makes the second folder what the first one is. */
export async function copyFolder(from: string, to: string): Promise<void> {
  await remove(to);
  await run('cp', ['-a', '--sparse=always', from, to]);
}

/** Removes folders, of which there may be hundreds, so not in this process. */
export async function remove(...folders: readonly string[]): Promise<void> {
  await run('rm', ['-rf', ...folders]);
}
