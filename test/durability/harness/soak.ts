import { setTimeout as sleep } from 'node:timers/promises';
import { type MortalTemporal, startMortalTemporal } from './mortal-temporal.ts';
import { procedures } from './procedures.ts';
import { makeReference, type Reference } from './reference.ts';
import { decideBoot, decisionWords } from './schedule.ts';
import { soakBoot } from './soak-boot.ts';
import { openStage, referenceOf, type Stage, shortTimesQueue } from './stage.ts';

export interface SoakOptions {
  /** The same seed decides the same; absent: another one each time. */
  readonly seed?: number;
  /** For how long boots are started; absent: there are 200 of them. */
  readonly minutes?: number;
}

const defaultBoots = 200;
const bootsAtOnce = 4;

/**
 * Boots with faults in combination, by a schedule that its seed decides, and prints every decision and how it ended, so
 * that the schedule can be run again. The last line is `N passed, N failed`. Returns the exit code.
 */
export async function runSoak({ seed = newSeed(), minutes }: SoakOptions): Promise<number> {
  say(`seed ${seed}: run it again with --seed ${seed}${minutes === undefined ? '' : ` --minutes ${minutes}`}`);
  const server = await startMortalTemporal();
  const stage = { ...(await openStage(server.address)), taskQueue: shortTimesQueue };
  const references: Reference[] = [];
  const tally = { passed: 0, failed: 0, injected: 0 };
  try {
    for (const procedure of procedures.filter(({ kind }) => kind === 'create')) {
      if (!stage.references.has(referenceOf(procedure))) references.push(await makeReference(stage, procedure));
    }
    const deadline = minutes === undefined ? Number.POSITIVE_INFINITY : Date.now() + minutes * 60_000;
    const boots = minutes === undefined ? defaultBoots : Number.POSITIVE_INFINITY;
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < boots && Date.now() < deadline) {
        const number = next;
        next += 1;
        await soakOne({ stage, server, seed, number }, tally);
      }
    };
    await Promise.all(Array.from({ length: bootsAtOnce }, lane));
    for (const { remove } of references) await remove();
  } finally {
    await stage.close();
    await server.stop();
  }
  say(`seed ${seed}: ${tally.injected} faults were observed`);
  say(`${tally.passed} passed, ${tally.failed} failed`);
  return tally.failed > 0 || tally.passed === 0 ? 1 : 0;
}

interface Soaking {
  readonly stage: Stage;
  readonly server: MortalTemporal;
  readonly seed: number;
  readonly number: number;
}

async function soakOne(
  { stage, server, seed, number }: Soaking,
  tally: { passed: number; failed: number; injected: number },
): Promise<void> {
  const decision = decideBoot(seed, number);
  const { temporalDiesAfterMs } = decision;
  say(decisionWords(decision));
  const dying =
    temporalDiesAfterMs === null ? Promise.resolve() : sleep(temporalDiesAfterMs).then(() => server.killAndRestart());
  try {
    const [{ outcome, injected }] = await Promise.all([soakBoot(stage, decision), dying]);
    tally.passed += 1;
    tally.injected += injected.length;
    say(`boot ${number} ended: ${outcome}${injected.length === 0 ? '' : `, faults at ${injected.join(', ')}`}`);
  } catch (error) {
    tally.failed += 1;
    say(`boot ${number} FAILED: ${error instanceof Error ? error.stack : String(error)}`);
  }
}

function newSeed(): number {
  return Math.floor(Math.random() * 2 ** 31);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
