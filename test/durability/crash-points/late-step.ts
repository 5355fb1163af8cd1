import assert from 'node:assert/strict';
import { readFile, rename, writeFile } from 'node:fs/promises';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Described } from '../../fixtures/running-operation-client.ts';
import { type Call, readCalls, type StepOrder, startStep } from './at-call.ts';
import { restore } from './lane.ts';

export interface Said {
  readonly ownRun: Described;
  readonly anyRun: Described;
}

/** A step whose process stands still in its middle. */
export interface LateStep {
  /** The call before which it stands. */
  readonly call: Call;
  /** Sets Temporal's answers from now on: on the step's own run, and on whichever run the instance has now. */
  say(described: Said): Promise<void>;
  /** Lets it continue, and settles when it has ended, with its exit status and what it said. */
  resume(): Promise<{ readonly code: number | null; readonly said: string }>;
}

export interface Stop {
  readonly program: string;
  /** The host's folder. */
  readonly folder: string;
  /** The worker alone stands still where it says so, and the child program continues. */
  readonly mode: 'stop' | 'stop-worker';
  readonly isDue: (call: Call) => boolean;
}

/**
 * Runs a step in a process of its own and stops that with SIGSTOP before the first call that is due, as a host does
 * that stands still for longer than anybody waits for it.
 */
export async function stopStep(t: TestContext, step: StepOrder, stop: Stop): Promise<LateStep> {
  const { program, folder, mode, isDue } = stop;
  const log = `${folder}.log`;
  const described = `${folder}.described`;
  const say = async (answer: Said): Promise<void> => {
    await writeFile(`${described}.new`, JSON.stringify(answer));
    await rename(`${described}.new`, described);
  };
  const isOpen = { status: { name: 'RUNNING' } };
  await say({ ownRun: isOpen, anyRun: isOpen });
  const trace = { program, log, folder: `${folder}/` };
  const counted = await startStep({ ...step, described }, { ...trace, mode: 'count' }).ended;
  await restore(folder);
  const call = (await readCalls(log)).find(isDue);
  assert.ok(call, `${step.name} makes the call, ended with ${counted.code}: ${counted.said}`);

  const { child, ended } = startStep({ ...step, described }, { ...trace, mode, at: call.number });
  t.after(() => child.kill('SIGKILL'));
  const deadline = Date.now() + 30_000;
  while (!(await readFile(log, 'utf8')).includes('stopped')) {
    assert.ok(child.exitCode === null && Date.now() < deadline, 'it stands still before the call');
    await sleep(20);
  }
  await untilStopped(await workerOf(child.pid ?? 0));
  return {
    call,
    say,
    resume: async () => {
      child.kill('SIGUSR1');
      return await ended;
    },
  };
}

async function workerOf(tracer: number): Promise<number> {
  return Number((await readFile(`/proc/${tracer}/task/${tracer}/children`, 'utf8')).trim().split(' ')[0]);
}

/** All threads of the worker stand still: by SIGSTOP, or at the call. */
async function untilStopped(worker: number): Promise<void> {
  const state = async (): Promise<string> =>
    (await readFile(`/proc/${worker}/status`, 'utf8')).match(/State:\s+(\w)/)?.[1] ?? '';
  for (let waits = 0; !/^t$/i.test(await state()); waits += 1) {
    assert.ok(waits < 250, 'the worker stands still');
    await sleep(20);
  }
}
