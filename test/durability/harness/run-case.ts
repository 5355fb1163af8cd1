import assert from 'node:assert/strict';
import { keepEvidence } from '../../fixtures/evidence.ts';
import { makePlace } from './case-place.ts';
import { type CaseWorker, workerHere, workerProcess } from './case-worker.ts';
import { type Case, checkOutcome } from './check-outcome.ts';
import { expectedOutcome, type Fault, faults, type Outcome } from './faults.ts';
import { begin, endOf, inputFor, tomlOf } from './operations.ts';
import type { HostOrder } from './serve-host.ts';
import { emptyFileSystem } from './small-file-systems.ts';
import { type Stage, shortTimesQueue } from './stage.ts';
import { isAfterImages, warmCache } from './warm-cache.ts';

export interface CaseResult {
  readonly outcome: Outcome;
  /** How often the fault was injected. */
  readonly injected: number;
}

/** Temporal is killed for all cases together: called when a step is held, it returns when Temporal is back. */
export type KillTemporal = () => Promise<void>;

/**
 * Carries a procedure out on a host of its own, injects a fault into one of its steps, and checks that it was injected,
 * how the operation ended, and that the instance is like an undisturbed one, or that nothing is left. Returns how it
 * ended.
 */
export async function runCase(shared: Stage, given: Case, killTemporal?: KillTemporal): Promise<CaseResult> {
  const { procedure, step, fault } = given;
  const { action, times, ownProcess = false, outside, medium, waits = false }: Fault = faults[fault];
  const stage = waits ? { ...shared, taskQueue: shortTimesQueue } : shared;
  const place = await makePlace(stage, medium);
  const order: HostOrder = {
    ...{ address: stage.address, name: `test-${place.name}`, folder: place.folder, filesFolder: place.filesFolder },
    ...{ images: stage.images, toml: tomlOf(procedure), injections: [{ step, action, times: times ?? null }] },
    watchesPrograms: false,
    broken: procedure.kind === 'undo' ? 'markReady' : null,
  };
  const start = (): Promise<CaseWorker> => (ownProcess ? workerProcess(order) : workerHere(stage.connection, order));
  let worker = await start();
  const restart = async (): Promise<void> => {
    await worker.ended;
    worker = await start();
  };
  const input = inputFor(stage, procedure, order.name);
  const { journal, paths } = place;
  const isWarm = isAfterImages(step);
  try {
    if (isWarm) await warmCache(stage, procedure, paths);
    const handle = await begin(stage, procedure, input);
    if (action.startsWith('kill') && action !== 'killProgram') await restart();
    if (outside !== undefined) {
      await journal.until(step, 'injected');
      if (outside === 'cancel') await handle.cancel();
      if (outside === 'terminate') await handle.terminate('a test ends it');
      if (outside === 'killTemporal') await killTemporal?.();
      if (outside === 'drain') {
        await worker.stop();
        await restart();
      }
      // An undo gets no cancellation, and a terminated step is held until nobody waits for it.
      if (outside !== 'cancel' || procedure.kind === 'undo') journal.release('on');
    }
    const end = await endOf(handle);
    if (medium === 'small') await emptyFileSystem(paths.instances);
    const outcome = await checkOutcome(stage, given, { end, input, journal, paths });
    if (isWarm) assert.equal(journal.count('downloadImage', 'ran'), 0, 'the images were there');
    const injected = journal.count(step, 'injected');
    assert.ok(injected > 0, `${step} had a fault injected`);
    if (times !== undefined) assert.equal(injected, times, `${step} had a fault injected ${times} times`);
    assert.equal(outcome, expectedOutcome(procedure, step, fault), JSON.stringify(journal.notes()));
    return { outcome, injected };
  } catch (error) {
    await keepEvidence(place.folder);
    throw error;
  } finally {
    journal.release('on');
    journal.release('later');
    await worker.stop();
    await place.remove();
  }
}
