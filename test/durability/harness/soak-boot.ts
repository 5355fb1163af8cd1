import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { makePlace } from './case-place.ts';
import { type CaseWorker, workerProcess } from './case-worker.ts';
import { checkEnd } from './check-outcome.ts';
import { type Fault, faults, type Outcome } from './faults.ts';
import type { Journal } from './journal.ts';
import { begin, endOf, inputFor, tomlOf } from './operations.ts';
import type { Step } from './procedures.ts';
import type { BootDecision } from './schedule.ts';
import type { HostOrder } from './serve-host.ts';
import type { Stage } from './stage.ts';

export interface SoakedBoot {
  readonly outcome: Outcome;
  /** Which faults were observed: one may end the boot before the next one's step. */
  readonly injected: readonly Step[];
}

/**
 * Carries out one boot of the soak, with a worker that is started again whenever it has died. Whatever it ends with,
 * the instance is like an undisturbed one, and is deleted; and nothing is left. Throws where that is not so.
 */
export async function soakBoot(stage: Stage, { procedure, injections }: BootDecision): Promise<SoakedBoot> {
  const place = await makePlace(stage, undefined);
  const { journal, paths } = place;
  const order: HostOrder = {
    ...{ address: stage.address, name: `test-${place.name}`, folder: place.folder, filesFolder: place.filesFolder },
    ...{ images: stage.images, toml: tomlOf(procedure), watchesPrograms: false },
    injections: injections.map(({ step, fault }) => {
      const { action, times }: Fault = faults[fault];
      return { step, action, times: times ?? null };
    }),
    broken: procedure.kind === 'undo' ? 'markReady' : null,
  };
  const keeper = keepWorker(order);
  const input = inputFor(stage, procedure, order.name);
  const over = { ended: false };
  try {
    const handle = await begin(stage, procedure, input);
    const meddling = injections.map(({ step, fault }) =>
      meddle({ step, fault: faults[fault], journal, handle, keeper, over }),
    );
    const end = await endOf(handle);
    over.ended = true;
    await Promise.all(meddling);
    const outcome = await checkEnd(stage, procedure, { end, input, paths });
    const injected = injections.map(({ step }) => step).filter((step) => journal.count(step, 'injected') > 0);
    return { outcome, injected };
  } finally {
    over.ended = true;
    journal.release('on');
    await keeper.stop();
    await place.remove();
  }
}

interface Keeper {
  /** SIGTERM; another one is started. */
  drain(): Promise<void>;
  stop(): Promise<void>;
}

/** As a service manager does it. */
function keepWorker(order: HostOrder): Keeper {
  let worker: CaseWorker | undefined;
  let stopped = false;
  const keeping = (async () => {
    while (!stopped) {
      // One that is started while Temporal is away ends at once.
      worker = await workerProcess(order).catch(() => undefined);
      if (stopped) await worker?.stop();
      await (worker?.ended ?? sleep(500));
    }
  })();
  return {
    drain: async () => await worker?.stop(),
    async stop() {
      stopped = true;
      await worker?.stop();
      await keeping;
    },
  };
}

interface Meddling {
  readonly step: Step;
  readonly fault: Fault;
  readonly journal: Journal;
  readonly handle: WorkflowHandle;
  readonly keeper: Keeper;
  readonly over: { readonly ended: boolean };
}

/** Does from outside what a fault asks for, once its step is held; a boot may end before. */
async function meddle({ step, fault, journal, handle, keeper, over }: Meddling): Promise<void> {
  const { outside } = fault;
  if (outside === undefined) return;
  while (journal.count(step, 'injected') === 0) {
    if (over.ended) return;
    await sleep(50);
  }
  // Something else may have ended the operation in this very moment.
  if (outside === 'cancel') await handle.cancel().catch(() => undefined);
  if (outside === 'terminate') await handle.terminate('a test ends it').catch(() => undefined);
  if (outside === 'drain') await keeper.drain();
  // A step that learns so from its heartbeat has ended by then; an undo never does.
  await sleep(1000);
  journal.release('on');
}
