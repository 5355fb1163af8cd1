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
  /** How often the step was struck. */
  readonly struck: number;
}

/** What happens with Temporal is not one case's: called when a step is held, it returns when Temporal is back. */
export type KillTemporal = () => Promise<void>;

/**
 * Carries a procedure out on a host of its own, strikes one of its steps, and checks that the step was struck, how the
 * operation ended, and that the instance is like an undisturbed one, or that nothing is left. Returns how it ended.
 */
export async function runCase(shared: Stage, given: Case, killTemporal?: KillTemporal): Promise<CaseResult> {
  const { procedure, step, fault } = given;
  const { blow, times, ownProcess = false, outside, medium, waits = false }: Fault = faults[fault];
  const stage = waits ? { ...shared, taskQueue: shortTimesQueue } : shared;
  const place = await makePlace(stage, medium);
  const order: HostOrder = {
    ...{ address: stage.address, name: `test-${place.name}`, folder: place.folder, filesFolder: place.filesFolder },
    ...{ images: stage.images, toml: tomlOf(procedure), strikes: [{ step, blow, times: times ?? null }] },
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
    if (blow.startsWith('kill') && blow !== 'killProgram') await restart();
    if (outside !== undefined) {
      await journal.until(step, 'struck');
      if (outside === 'cancel') await handle.cancel();
      if (outside === 'terminate') await handle.terminate('a test ends it');
      if (outside === 'killTemporal') await killTemporal?.();
      if (outside === 'drain') {
        await worker.stop();
        await restart();
      }
      // An undo is not told of a cancellation, and a terminated step is held until nobody waits for it.
      if (outside !== 'cancel' || procedure.kind === 'undo') journal.letGo('on');
    }
    const end = await endOf(handle);
    if (medium === 'small') await emptyFileSystem(paths.instances);
    const outcome = await checkOutcome(stage, given, { end, input, journal, paths });
    if (isWarm) assert.equal(journal.count('downloadImage', 'ran'), 0, 'the images were there');
    const struck = journal.count(step, 'struck');
    assert.ok(struck > 0, `${step} was struck`);
    if (times !== undefined) assert.equal(struck, times, `${step} was struck ${times} times`);
    assert.equal(outcome, expectedOutcome(procedure, step, fault), JSON.stringify(journal.notes()));
    return { outcome, struck };
  } catch (error) {
    await keepEvidence(place.folder);
    throw error;
  } finally {
    journal.letGo('on');
    journal.letGo('later');
    await worker.stop();
    await place.remove();
  }
}
