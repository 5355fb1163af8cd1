import assert from 'node:assert/strict';
import { access, readFile, writeFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { stepNames } from '../../domain/steps.ts';
import { allCases } from './harness/cases.ts';
import type { Case } from './harness/check-outcome.ts';
import { type Fault, faults } from './harness/faults.ts';
import { type MortalTemporal, startMortalTemporal } from './harness/mortal-temporal.ts';
import { madeTables, pageFile, withTables } from './harness/page.ts';
import { injectedElsewhere, procedures, runsPrograms, type Step } from './harness/procedures.ts';
import { makeReference, type Reference } from './harness/reference.ts';
import { type CaseResult, runCase } from './harness/run-case.ts';
import { openStage, referenceOf, type Stage } from './harness/stage.ts';

/** Runs only the cases whose titles match. */
const only = process.env.EVERBOOT_TEST_CASES ?? '';
const cases = allCases().filter((one) => new RegExp(only).test(titleOf(one)));
/** In the order of the cases, whatever order they end in. */
const results = new Map<Case, CaseResult>();
let server: MortalTemporal;
let stage: Stage;
const references: Reference[] = [];

before(async () => {
  server = await startMortalTemporal();
  stage = await openStage(server.address);
  const creating = procedures.filter(({ kind }) => kind === 'create');
  const byReference = new Map(creating.map((procedure) => [referenceOf(procedure), procedure]));
  for (const procedure of byReference.values()) references.push(await makeReference(stage, procedure));
});
after(async () => {
  const steps = new Set([...results.keys()].map(({ step }) => step));
  const ways = new Set([...results.keys()].map(({ fault }) => fault));
  process.stdout.write(`${results.size} of ${cases.length} cases: ${steps.size} steps, ${ways.size} faults\n`);
  for (const { remove } of references) await remove();
  await stage.close();
  await server.stop();
});

function titleOf({ procedure, step, fault }: Case): string {
  return `${procedure.name}: ${step}, ${faults[fault].title}`;
}

async function run(one: Case, killTemporal?: () => Promise<void>): Promise<void> {
  const result = await runCase(stage, one, killTemporal);
  results.set(one, result);
  const times = result.injected === 1 ? 'once' : `${result.injected} times`;
  process.stderr.write(`${results.size} of ${cases.length}: ${titleOf(one)}, injected ${times}: ${result.outcome}\n`);
}

function testEach(belongs: (fault: Fault) => boolean): void {
  for (const one of cases.filter(({ fault }) => belongs(faults[fault]))) {
    test(titleOf(one), () => run(one));
  }
}

const killsTemporal = ({ outside }: Fault): boolean => outside === 'killTemporal';

test('every step of a host has faults injected, here or in a test of its own', async () => {
  const covered = new Set<string>([...procedures.flatMap(({ steps }) => steps), ...Object.keys(injectedElsewhere)]);
  const left = stepNames.filter((step) => !covered.has(step));
  assert.deepEqual(left, []);
  for (const file of Object.values(injectedElsewhere)) await access(new URL(file, import.meta.url));
});

test('undisturbed boots run the steps that faults are injected into, and programs where the harness says so', () => {
  const injected = procedures.filter(({ kind }) => kind === 'create').flatMap(({ steps }) => steps);
  const ran = references.flatMap(({ steps }) => steps);
  assert.deepEqual([...new Set(ran)].sort(), [...new Set<Step>(injected)].sort());
  for (const { procedure, steps, withPrograms } of references) {
    const expected = steps.filter((step) => runsPrograms(step, procedure));
    assert.deepEqual([...withPrograms].sort(), expected.sort(), procedure.name);
  }
});

describe('each fault injected into each step', { concurrency: 2 }, () => {
  describe('by what shows at once', { concurrency: 3 }, () =>
    testEach((fault) => !fault.waits && !killsTemporal(fault)),
  );
  describe('by what shows when a worker is silent', { concurrency: 8 }, () =>
    testEach((fault) => fault.waits === true),
  );
});

test('every step continues when Temporal was killed while it ran', async () => {
  const some = cases.filter(({ fault }) => killsTemporal(faults[fault]));
  const back = Promise.withResolvers<void>();
  let held = 0;
  const killTemporal = async (): Promise<void> => {
    held += 1;
    if (held === some.length) server.killAndRestart().then(back.resolve, back.reject);
    await back.promise;
  };
  const ended = await Promise.allSettled(
    some.map(async (one) => {
      try {
        await run(one, killTemporal);
      } catch (error) {
        // The others must not wait for it.
        back.reject(error);
        throw new Error(titleOf(one), { cause: error });
      }
    }),
  );
  for (const end of ended) if (end.status === 'rejected') throw end.reason;
});

test('the page on durability has every case, and how it ends', async () => {
  const tables = madeTables(allCases());
  const page = await readFile(pageFile, 'utf8');
  if (process.env.EVERBOOT_WRITE_DURABILITY === '1') await writeFile(pageFile, withTables(page, tables));
  else assert.equal(page, withTables(page, tables));
});
