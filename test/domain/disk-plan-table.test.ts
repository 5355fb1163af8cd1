import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { diskMappingCases } from '../fixtures/nova/disk-mapping-cases.ts';
import { devicesOf, planOf } from '../fixtures/nova/planned-devices.ts';

interface Recording {
  readonly nova: string;
  readonly cases: readonly {
    readonly input: unknown;
    readonly mapping?: readonly string[];
    readonly refused?: string;
  }[];
}

async function readRecording(): Promise<Recording> {
  return JSON.parse(await readFile(new URL('../fixtures/nova/disk-mappings.json', import.meta.url), 'utf8'));
}

test('every rule about devices holds for its example', async (t) => {
  for (const { rule, input, expected } of diskMappingCases) {
    await t.test(rule, () => {
      if (expected instanceof RegExp) assert.throws(() => planOf(input), expected);
      else assert.deepEqual(devicesOf(planOf(input)), expected);
    });
  }
});

test('the recording of a real Nova is of these examples', async () => {
  const { nova, cases } = await readRecording();
  assert.match(nova, /^[0-9]+\.[0-9]+\.[0-9]+$/);
  assert.deepEqual(
    cases.map(({ input }) => input),
    JSON.parse(JSON.stringify(diskMappingCases.map(({ input }) => input))),
    'record them again, see test/fixtures/nova/record-disk-mappings.py',
  );
});

test('a real Nova decides the same, but for the differences that are explained', async (t) => {
  const { cases } = await readRecording();
  for (const [index, { rule, input, differs }] of diskMappingCases.entries()) {
    const { mapping, refused } = cases[index] ?? {};
    await t.test(rule, () => {
      const ours = outcomeOf(() => devicesOf(planOf(input)).map(byItsName));
      const itsOwn =
        refused === undefined ? (mapping ?? []).filter((line) => isPlanned(line, input.rescue)) : 'refused';
      if (differs === undefined) assert.deepEqual(ours, itsOwn);
      else assert.notDeepEqual(ours, itsOwn, `no difference any more: ${differs}`);
    });
  }
});

function outcomeOf(devices: () => readonly string[]): readonly string[] | 'refused' {
  try {
    return devices();
  } catch {
    return 'refused';
  }
}

/** Nova knows a volume by its device alone. */
function byItsName(line: string): string {
  return line.replace(/^volumes\[\d+\] (\S+) (\S*)/, '/dev/$2 $1 $2');
}

/** Nova lists the root twice, and in a rescue the instance's own disk, which is there already. */
function isPlanned(line: string, rescue = false): boolean {
  return !line.startsWith('root ') && !(rescue && line.startsWith('disk '));
}
