import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { Host } from '../../../activities/host.ts';
import { buildAtCall, type Call, killed, readCalls, type StepOrder, startStep } from './at-call.ts';
import { damaged } from './contents.ts';
import { asActivity } from './step-context.ts';
import { unsyncedNames } from './sync-order.ts';
import { isPassing, isTemporary, type Tree, treeOf } from './tree.ts';

/** A step, what it finds, and what takes it back. */
export interface CrashCase {
  readonly module: string;
  readonly name: string;
  /** Makes a host in a new folder, with what the step finds there. */
  prepare(folder: string): Promise<Host>;
  order(host: Host): unknown;
  /** Takes everything back that was made for the instance. */
  undo(host: Host): Promise<void>;
  /** True: its process goes on with something when it is done, so it gets one of its own when it runs again, too. */
  readonly goesOn?: boolean;
}

const run = promisify(execFile);

/** So many runs go on at once. */
const laneCount = 2;
/** Of calls that there may be very many of, so many are struck. */
const maxOfMany = 5;

/**
 * Kills a step before each of the system calls by which it changes files, one after the other. After each kill what has
 * a final name is whole; then the step runs again, and leaves what it leaves undisturbed; then the undo leaves nothing.
 */
export async function sweepCrashPoints(t: TestContext, crash: CrashCase): Promise<void> {
  const folder = await mkdtemp('/var/tmp/everboot-crash-');
  t.after(() => rm(folder, { recursive: true, force: true }));
  const tracer = buildAtCall(folder);
  const lanes: Lane[] = [];
  for (let index = 0; index < laneCount; index += 1) lanes.push(await makeLane(join(folder, `lane${index}`), crash));
  const [first] = lanes as [Lane];

  const calls = await traced(tracer, first, 'count', 0);
  assert.deepEqual(unsyncedNames(calls), []);
  const expected = await treeOf(first.folder);
  const points = chosen(calls);
  const names = [...new Set(points.map(({ name }) => name))].sort().join(', ');
  t.diagnostic(`${points.length} crash points of ${calls.length} calls: ${names}`);

  const waiting = [...points];
  const strike = async (lane: Lane): Promise<void> => {
    for (let point = waiting.shift(); point !== undefined; point = waiting.shift()) {
      const where = `killed before call ${point.number}, ${point.name} of ${point.path} by ${point.program}`;
      await strikeOnce(tracer, lane, point, { expected, where });
    }
  };
  await Promise.all(lanes.map(strike));
}

/** A host of its own, which is put back to what it was before each run. */
export interface Lane {
  readonly folder: string;
  readonly host: Host;
  readonly before: Tree;
  readonly crash: CrashCase;
  readonly step: StepOrder;
  readonly runAgain: () => Promise<unknown>;
}

export async function makeLane(folder: string, crash: CrashCase): Promise<Lane> {
  await mkdir(folder);
  const host = await crash.prepare(folder);
  await replace(`${folder}.before`, folder);
  const { [crash.name]: step } = await import(`../../../activities/${crash.module}.ts`);
  const order = crash.order(host);
  return {
    folder,
    host,
    crash,
    before: await treeOf(folder),
    step: { module: crash.module, name: crash.name, host, order },
    runAgain: () => asActivity(() => step(host, order)),
  };
}

async function strikeOnce(
  tracer: string,
  lane: Lane,
  point: Call,
  { expected, where }: { readonly expected: Tree; readonly where: string },
): Promise<void> {
  await replace(lane.folder, `${lane.folder}.before`);
  await traced(tracer, lane, 'kill', point.number);
  for (const [name, found] of await treeOf(lane.folder)) {
    const isWhole = lane.before.get(name) === found || expected.get(name) === found;
    const isSound = isTemporary(name) || isWhole || (isPassing(name) && !found.includes(damaged));
    assert.ok(isSound, `${where}: ${name} is ${found}, expected ${expected.get(name) ?? lane.before.get(name)}`);
  }
  await replace(`${lane.folder}.killed`, lane.folder);
  await (lane.crash.goesOn ? traced(tracer, lane, 'count', 0) : lane.runAgain());
  assert.deepEqual(
    withoutLeavings(await treeOf(lane.folder)),
    Object.fromEntries(expected),
    `${where}, then run again`,
  );
  await lane.crash.undo(lane.host);
  assert.deepEqual(leftIn(await treeOf(lane.folder), lane.before), [], `${where}, run again and taken back`);
  await replace(lane.folder, `${lane.folder}.killed`);
  await lane.crash.undo(lane.host);
  assert.deepEqual(leftIn(await treeOf(lane.folder), lane.before), [], `${where}, then taken back`);
}

/** Makes a folder what another one is. */
export async function replace(folder: string, by: string): Promise<void> {
  await run('rm', ['-rf', folder]);
  await run('cp', ['-a', '--sparse=always', by, folder]);
}

/** Everything but the leavings of small files, which go when the instance is ready or taken back. */
function withoutLeavings(tree: Tree): Record<string, string> {
  const leaving = /(\.json|\/libvirt\.xml|\/console\.log|\/direct-io)\.[0-9a-f]{8}\.everboot-tmp$/;
  return Object.fromEntries([...tree].filter(([name]) => !leaving.test(name)));
}

/** What an undo has left besides the host's own folders, the lock file and what is whole in the cache. */
function leftIn(tree: Tree, before: Tree): string[] {
  const own = /^instances\/(_base|\.everboot)(\/|$)/;
  return [...tree].flatMap(([name, found]) => {
    if (isTemporary(name)) return [name];
    if (name === 'instances' || (!name.startsWith('instances/') && before.get(name) === found)) return [];
    return own.test(name) && !/\.everboot\/(claims|ledger|fetches)\//.test(name) ? [] : [name];
  });
}

async function traced(program: string, lane: Lane, mode: 'count' | 'kill', at: number): Promise<Call[]> {
  const log = `${lane.folder}.log`;
  const { ended } = startStep(lane.step, { program, log, folder: `${lane.folder}/`, mode, at });
  const { code, said } = await ended;
  const calls = await readCalls(log);
  assert.equal(code, mode === 'kill' ? killed : 0, `${lane.step.name} at call ${at} of ${calls.length}: ${said}`);
  return calls;
}

/** All calls, but of those that there may be very many of only some, evenly: writes, and what fills a private folder. */
function chosen(calls: readonly Call[]): Call[] {
  const groups = Map.groupBy(calls, ({ name, path, second }) => {
    if (/write|copy_file_range|fallocate/.test(name)) return 'writes';
    return /\.everboot-tmp\//.test(path) && !/\.everboot-tmp$/.test(second) ? `private ${name}` : '';
  });
  const taken = [...groups].flatMap(([group, those]) => (group === '' ? those : evenly(those)));
  return taken.sort((one, other) => one.number - other.number);
}

function evenly(calls: readonly Call[]): readonly Call[] {
  if (calls.length <= maxOfMany) return calls;
  const step = (calls.length - 1) / (maxOfMany - 1);
  return Array.from({ length: maxOfMany }, (_, index) => calls[Math.round(index * step)] as Call);
}
