import { setTimeout as sleep } from 'node:timers/promises';
import { asyncLocalStorage, Context, cancellationSignal, heartbeat } from '@temporalio/activity';
import { EverbootFailure } from '../../../domain/failures.ts';
import type { HostActivities } from '../../../domain/host-activities.ts';
import { stepTimes } from '../../fixtures/short-step-times.ts';
import type { FaultAction } from './faults.ts';
import type { Journal } from './journal.ts';
import type { Step } from './procedures.ts';
import { watchPrograms } from './programs.ts';
import { breakFolder, fillFileSystem, mendFolder } from './small-file-systems.ts';

/** The faults that a worker injects into its steps. */
export interface FaultOrder {
  readonly step: Step;
  readonly action: FaultAction;
  /** Null: whenever the step runs. */
  readonly times: number | null;
}

export interface FaultPlace {
  /** The case's folder. */
  readonly folder: string;
  readonly instancesPath: string;
  readonly journal: Journal;
  readonly watchesPrograms: boolean;
  /** Fails permanently whenever it runs: so an undo is brought about. */
  readonly broken: Step | null;
}

interface Call {
  readonly step: Step;
  readonly run: () => Promise<unknown>;
  readonly place: FaultPlace;
  readonly instanceId: string;
  readonly injected: () => void;
}

type AnyActivity = (input: never) => Promise<unknown>;

/**
 * The steps of a host, with faults injected as ordered. The journal notes every run, and every fault before it takes
 * effect.
 */
export function injectFaults(
  activities: HostActivities,
  orders: readonly FaultOrder[],
  place: FaultPlace,
): Record<string, AnyActivity> {
  const { journal } = place;
  return Object.fromEntries(
    Object.entries(activities).map(([name, activity]) => {
      const step = name as Step;
      const inject: AnyActivity = async (input) => {
        const run = (): Promise<unknown> => (activity as AnyActivity)(input);
        journal.note({ step, what: 'ran' });
        if (step === place.broken) throw new EverbootFailure('ProgramFailed', `${step} is broken`);
        const { workflowExecution, activityId } = Context.current().info;
        const instanceId = workflowExecution?.workflowId.split('/').find(isId) ?? '';
        if (place.watchesPrograms) noteProgramsOf(step, instanceId, journal);
        const order = orders.find((one) => one.step === step);
        if (order === undefined || journal.isReleased('mended')) return await run();
        if (order.times !== null) {
          // A step may be run for several things at once, and the first of them is meant.
          const aimed = journal.notes().filter((note) => note.step === step && note.what === 'aimed');
          if (aimed.some(({ words }) => words !== activityId)) return await run();
          if (aimed.length >= order.times) {
            if (order.action.startsWith('zombie')) journal.note({ step, what: 'second' });
            return await run();
          }
          journal.note({ step, what: 'aimed', words: activityId });
        }
        const injected = (): void => journal.note({ step, what: 'injected' });
        return await actions[order.action]({ step, run, place, instanceId, injected });
      };
      return [name, inject];
    }),
  );
}

const isId = (part: string): boolean => part.length === 36;

const actions: Record<FaultAction, (call: Call) => Promise<unknown>> = {
  async throwBefore({ step, injected }) {
    injected();
    throw new EverbootFailure('ProgramFailed', `${step} had a fault injected`);
  },
  async throwAfter({ step, run, injected }) {
    await run();
    injected();
    throw new EverbootFailure('ProgramFailed', `${step} had a fault injected`);
  },
  async throwAndPass({ step, run, injected }) {
    await run();
    injected();
    throw new EverbootFailure('HostIoError', `${step} had a fault injected`, { retryAfterMs: 10 });
  },
  async runTwice({ run, injected }) {
    await run();
    injected();
    return await run();
  },
  async hold({ run, place, injected }) {
    const made = await run();
    injected();
    const signal = cancellationSignal();
    while (!place.journal.isReleased('on')) {
      if (signal.aborted) throw signal.reason;
      heartbeat();
      await sleep(20);
    }
    return made;
  },
  async zombieBeside({ step, run, place, injected }) {
    injected();
    await place.journal.until(step, 'second');
    place.journal.note({ step, what: 'late', words: await zombieAttempt(run) });
    return await new Promise(() => undefined);
  },
  async zombieAfter({ step, run, place: { journal }, injected }) {
    injected();
    for (const [word, what] of [
      ['on', 'late'],
      ['later', 'later'],
    ] as const) {
      while (!journal.isReleased(word)) await sleep(20);
      journal.note({ step, what, words: await zombieAttempt(run) });
    }
    return await new Promise(() => undefined);
  },
  async killBefore({ injected }) {
    injected();
    return await die();
  },
  async killAfter({ run, injected }) {
    await run();
    injected();
    return await die();
  },
  async killDuring({ step, run, instanceId, injected }) {
    const killed = (): void => {
      injected();
      void die();
    };
    // The program lives on, and still has its work to do when the step's next attempt has started.
    const livesForSeconds = stepTimes.heartbeatTimeoutMs / 1000 + 2;
    watchPrograms(step, instanceId, { script: `sleep ${livesForSeconds}; exec "$@"`, onStart: killed });
    // A step without a program dies in the middle of its own work.
    setTimeout(killed, 500);
    await run().catch(() => undefined);
    killed();
    return await new Promise(() => undefined);
  },
  async killProgram({ step, run, instanceId, injected }) {
    let hit = false;
    const onStart = ({ pid }: { readonly pid?: number | undefined }): void => {
      if (hit || pid === undefined) return;
      hit = true;
      setTimeout(() => {
        injected();
        process.kill(-pid, 'SIGKILL');
        watchPrograms(step, instanceId, undefined);
      }, 40);
    };
    // It is still there when it is killed, wherever in its work it was.
    watchPrograms(step, instanceId, { script: '"$@"; status=$?; sleep 5; exit $status', onStart });
    return await run();
  },
  async fillDisk({ run, place, injected }) {
    await fillFileSystem(place.instancesPath);
    injected();
    return await run();
  },
  async breakDisk({ step, run, place, injected }) {
    await breakFolder(place.instancesPath);
    injected();
    try {
      const made = await run();
      place.journal.note({ step, what: 'observed', words: 'nothing' });
      return made;
    } catch (error) {
      place.journal.note({ step, what: 'observed', words: wordsOf(error) });
      throw error;
    } finally {
      await mendFolder(place.instancesPath);
    }
  },
};

function noteProgramsOf(step: Step, instanceId: string, journal: Journal): void {
  watchPrograms(step, instanceId, { onStart: () => journal.note({ step, what: 'program' }) });
}

/** Runs a step as a worker does that was cut off: nothing is heard of it, and nobody can stop it. */
async function zombieAttempt(run: () => Promise<unknown>): Promise<string> {
  const context = Object.create(Context.current(), {
    cancellationSignal: { value: new AbortController().signal },
    heartbeat: { value: () => undefined },
  });
  return await asyncLocalStorage.run(context, run).then(() => 'done', wordsOf);
}

async function die(): Promise<never> {
  process.kill(process.pid, 'SIGKILL');
  return await new Promise(() => undefined);
}

function wordsOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}
