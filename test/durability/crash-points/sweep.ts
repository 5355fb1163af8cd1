import assert from 'node:assert/strict';
import { rename } from 'node:fs/promises';
import type { TestContext } from 'node:test';
import { type Call, killed, type Mode, readCalls, startStep } from './at-call.ts';
import { damaged } from './contents.ts';
import { type CrashCase, copyFolder, type Lane, makeLane, remove, restore } from './lane.ts';
import { unsyncedNames } from './sync-order.ts';
import { entriesOf, isPassing, isTemporary, type Tree, treeOf } from './tree.ts';

/** Of calls that there may be very many of, so many are crash points. */
const maxOfMany = 5;

/**
 * Recovers from a crash before each of the system calls by which a step changes files. One run of the step leaves a
 * copy of the host's folder from before each call, and a real kill in the middle shows that such a copy is what a kill
 * leaves. In each copy what has a final name is whole; then the step runs again, and leaves what it leaves undisturbed;
 * then the undo leaves nothing.
 */
export async function sweepCrashPoints(t: TestContext, tracer: string, crash: CrashCase): Promise<void> {
  const lane = await makeLane(t, crash);
  const calls = await traced(tracer, lane, 'copy');
  assert.deepEqual(unsyncedNames(calls), []);
  const sweep: Sweep = { tracer, lane, expected: await treeOf(lane.folder) };
  const points = chosen(calls);
  const names = [...new Set(points.map(({ name }) => name))].sort().join(', ');
  t.diagnostic(`${points.length} crash points of ${calls.length} calls: ${names}`);
  await remove(...calls.filter((call) => !points.includes(call)).map((call) => copyBefore(lane, call)));

  const middle = points[Math.floor(points.length / 2)];
  assert.ok(middle, 'the step changes files');
  await killOnce(sweep, middle);
  for (const point of points) {
    await recover(sweep, copyBefore(lane, point), `as copied ${beforeCall(point)}`);
  }
}

interface Sweep {
  readonly tracer: string;
  readonly lane: Lane;
  /** The files that the undisturbed step leaves. */
  readonly expected: Tree;
}

/**
 * A real kill leaves what a copy from before the same call holds, byte by byte, and what it leaves is recovered from.
 */
async function killOnce(sweep: Sweep, { number }: Call): Promise<void> {
  const { lane } = sweep;
  await restore(lane.folder);
  const log = `${lane.log}-killed`;
  const [point] = (await traced(sweep.tracer, { ...lane, log }, 'kill', number)).slice(-1);
  assert.ok(point);
  const where = `killed ${beforeCall(point)}`;
  assert.deepEqual(await entriesOf(lane.folder), await entriesOf(copyBefore({ log }, point)), where);
  const left = `${lane.folder}.killed`;
  await rename(lane.folder, left);
  await recover(sweep, left, where);
}

/** Where the tracer leaves the host's folder as it was before a call. */
function copyBefore({ log }: Pick<Lane, 'log'>, { number }: Call): string {
  return `${log}.${number}`;
}

function beforeCall({ number, name, path, program }: Call): string {
  return `before call ${number}, ${name} of ${path} by ${program}`;
}

/** Recovers from what a crash left, in both ways, at the place where the host lies. Takes what it left. */
async function recover({ lane, expected }: Sweep, left: string, where: string): Promise<void> {
  await copyFolder(left, lane.folder);
  for (const [name, found] of await treeOf(lane.folder)) {
    const isWhole = lane.before.get(name) === found || expected.get(name) === found;
    const isSound = isTemporary(name) || isWhole || (isPassing(name) && !found.includes(damaged));
    assert.ok(isSound, `${where}: ${name} is ${found}, expected ${expected.get(name) ?? lane.before.get(name)}`);
  }
  await lane.runAgain();
  assert.deepEqual(
    withoutLeavings(await treeOf(lane.folder)),
    Object.fromEntries(expected),
    `${where}, then run again`,
  );
  await lane.crash.undo(lane.host);
  assert.deepEqual(leftIn(await treeOf(lane.folder), lane.before), [], `${where}, run again and taken back`);
  await remove(lane.folder);
  await rename(left, lane.folder);
  await lane.crash.undo(lane.host);
  assert.deepEqual(leftIn(await treeOf(lane.folder), lane.before), [], `${where}, then taken back`);
}

/** Everything but the leavings of small files, which go when the instance is ready or taken back. */
function withoutLeavings(tree: Tree): Record<string, string> {
  const leaving = /(\.json|\/libvirt\.xml|\/console\.log|\/direct-io)\.[0-9a-f]{8}\.everboot-tmp$/;
  return Object.fromEntries([...tree].filter(([name]) => !leaving.test(name)));
}

/** The files that an undo has left besides the host's own folders, the lock file and whole files in the cache. */
function leftIn(tree: Tree, before: Tree): string[] {
  const own = /^instances\/(_base|\.everboot)(\/|$)/;
  return [...tree].flatMap(([name, found]) => {
    if (isTemporary(name)) return [name];
    if (name === 'instances' || (!name.startsWith('instances/') && before.get(name) === found)) return [];
    return own.test(name) && !/\.everboot\/(claims|ledger|fetches)\//.test(name) ? [] : [name];
  });
}

async function traced(program: string, { step, folder, log }: Lane, mode: Mode, at = 0): Promise<Call[]> {
  const { code, said } = await startStep(step, { program, log, folder: `${folder}/`, mode, at }).ended;
  const calls = await readCalls(log);
  assert.equal(code, mode === 'kill' ? killed : 0, `${step.name} at call ${at} of ${calls.length}: ${said}`);
  return calls;
}

/**
 * All calls, but of those that there may be very many of only some, evenly: writes, and what fills a private folder.
 */
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
