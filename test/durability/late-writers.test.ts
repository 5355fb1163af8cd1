import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { after, suite, test } from 'node:test';
import type { Host } from '../../activities/context/host.ts';
import type { Claim } from '../../domain/claim.ts';
import type { EverbootFailure } from '../../domain/failures.ts';
import { writeInstanceRecord } from '../../hypervisor/instance/instance-record.ts';
import { buildAtCall, type Call } from './crash-points/at-call.ts';
import { claim, directoryOf, putBaseImage, undo, undoAll } from './crash-points/crash-hosts.ts';
import { diskCases } from './crash-points/disk-cases.ts';
import { makeImageCases } from './crash-points/image-cases.ts';
import { instanceCases } from './crash-points/instance-cases.ts';
import { type CrashCase, makeLane } from './crash-points/lane.ts';
import { stopStep } from './crash-points/late-step.ts';
import { isTemporary, type Tree, treeOf } from './crash-points/tree.ts';

const images = await makeImageCases(await mkdtemp('/var/tmp/everboot-late-images-'));
after(images.close);
const tools = await mkdtemp('/var/tmp/everboot-late-tools-');
after(() => rm(tools, { recursive: true }));
const program = buildAtCall(tools);

const laterOperation = '5b3c6f0e-0000-4000-8000-0000000001a7';
const later: Claim = { ...claim, operationId: laterOperation };
const isOver = { status: { name: 'COMPLETED' } } as const;
const isLaters = { status: { name: 'RUNNING' }, memo: { operationId: laterOperation } } as const;

/** Whoever wants a lock begins with opening the file that the host's locks are in. */
const beforeItsLock = ({ path }: Call): boolean => path.endsWith('/.everboot/locks');

/** Another operation's instance under the same id, whole, with every file that an earlier step could write. */
async function putLaterInstance(host: Host, state: 'building' | 'ready'): Promise<void> {
  const directory = directoryOf(host);
  await mkdir(directory);
  const known = { name: 'web-2', host: 'crash', specDigest: 'other', cacheNames: [], storage: null } as const;
  const createdAt = '2026-02-02T00:00:00.000Z';
  await writeInstanceRecord(directory, { version: 1, claim: later, ...known, state, createdAt });
  for (const name of ['disk', 'kernel', 'libvirt.xml', 'console.log']) {
    await writeFile(`${directory}/${name}`, `${name} of the later instance`);
  }
  await putBaseImage(host, later);
}

/** The files in a host's folders, but for its lock file. */
async function filesOf(folder: string): Promise<Tree> {
  return new Map([...(await treeOf(folder))].filter(([name]) => !name.endsWith('/.everboot/locks')));
}

function temporaries(tree: Tree): string[] {
  return [...tree.keys()].filter(isTemporary);
}

// On a new host there is no file of locks yet.
const { 'the reservation of the directory on a new host': _, ...ofInstances } = instanceCases;
const steps: Readonly<Record<string, CrashCase>> = {
  ...diskCases,
  ...ofInstances,
  ...images.cases,
  'the removal of the domain': {
    ...instanceCases['a deletion'],
    ...{ module: 'delete-instance', name: 'deleteDomain' },
  },
  'the definition of the domain': {
    ...instanceCases['an undo'],
    ...{ module: 'define-domain', name: 'defineDomain' },
  },
  'the start of the domain': {
    ...instanceCases['an undo'],
    ...{ module: 'define-domain', name: 'startDomain' },
  },
};

/** An undo names its operation, so it finds nothing and is done. */
const succeeds = new Set(['releaseInstance']);
const takers = new Set(['reserveInstance', 'markReady', 'deleteFiles', 'deleteDomain']);

suite('a step that stood still before it took its lock, until its operation was undone', { concurrency: 4 }, () => {
  for (const [title, crash] of Object.entries(steps)) {
    for (const next of ['nothing is there', 'another operation builds', 'another instance is ready'] as const) {
      // Only what takes a whole instance looks at whether that is ready.
      if (next === 'another instance is ready' && !takers.has(crash.name)) continue;
      test(`changes nothing: ${title}, and ${next}`, { timeout: 120_000 }, async (t) => {
        const { folder, host, step } = await makeLane(t, crash);
        const late = await stopStep(t, step, { program, folder, mode: 'stop', isDue: beforeItsLock });
        await undoAll(host);
        if (next !== 'nothing is there') await putLaterInstance(host, next.endsWith('ready') ? 'ready' : 'building');
        await late.say({ ownRun: isOver, anyRun: next.endsWith('builds') ? isLaters : isOver });
        const before = await filesOf(folder);
        const { code, said } = await late.resume();
        assert.deepEqual(await filesOf(folder), before, `nothing was touched by ${said}`);
        assert.deepEqual(temporaries(before), []);
        if (succeeds.has(step.name)) assert.equal(code, 0, said);
        else assert.match(said, /^(InstanceExists|OperationSuperseded): /, `it failed with ${code}`);
      });
    }
  }
});

const isWrite = ({ name, path }: Call): boolean => /write|copy_file_range/.test(name) && isTemporary(path);
const byProgram =
  (program: string) =>
  (call: Call): boolean =>
    isWrite(call) && call.program.startsWith(program);

/** Where each step stands still, in the middle of what it writes or removes. */
const middles: readonly (readonly [string, CrashCase | undefined, 'stop' | 'stop-worker', (call: Call) => boolean])[] =
  [
    ['a download', images.cases['a download'], 'stop', (call) => isWrite(call) && call.path.endsWith('.part')],
    ['a conversion and its qemu-img', images.cases['a conversion'], 'stop', byProgram('qemu-img')],
    ['a conversion, whose qemu-img continues', images.cases['a conversion'], 'stop-worker', byProgram('qemu-img')],
    ['a copy of a root disk and its cp', diskCases['a raw root disk'], 'stop', byProgram('cp')],
    ['a copy of a root disk, whose cp continues', diskCases['a raw root disk'], 'stop-worker', byProgram('cp')],
    ['an overlay and its qemu-img', diskCases['a qcow2 root disk'], 'stop', byProgram('qemu-img')],
    ['a file system and its mkfs', diskCases['an ephemeral disk, formatted in place'], 'stop', byProgram('mke2fs')],
    [
      'a file system, whose mkfs continues',
      diskCases['an ephemeral disk, formatted in place'],
      'stop-worker',
      byProgram('mke2fs'),
    ],
    ['a config drive and its xorriso', instanceCases['an ISO config drive'], 'stop', byProgram('xorriso')],
    ['an undo', instanceCases['an undo'], 'stop', ({ name }) => name.startsWith('unlink')],
  ];

suite('a step that stands still in its middle, with its lock', { concurrency: 5 }, () => {
  for (const [title, crash, mode, isDue] of middles) {
    assert.ok(crash);
    test(`lets nobody past, and ends right: ${title}`, { timeout: 120_000 }, async (t) => {
      const { folder, host, step, runAgain } = await makeLane(t, crash);
      const late = await stopStep(t, step, { program, folder, mode, isDue });
      const before = temporaries(await filesOf(folder));
      const [again, undone] = await Promise.allSettled([runAgain(), undo(host)]);
      for (const tried of [again, undone]) assert.ok(isTurnedAway(tried), JSON.stringify(tried));
      assert.deepEqual(temporaries(await filesOf(folder)), before, 'nobody cleared away what is being written');
      await late.resume();
      await runAgain();
      assert.deepEqual(
        temporaries(await filesOf(folder)).filter((name) => !/\.(part|converted)/.test(name)),
        [],
      );
      await undo(host);
      assert.deepEqual(leftOf(await filesOf(folder)), []);
    });
  }
});

/** Failed retryably, and said that an earlier attempt is still at it. */
function isTurnedAway(tried: PromiseSettledResult<unknown>): boolean {
  if (tried.status === 'fulfilled') return false;
  const { code, retryable, message } = tried.reason as EverbootFailure;
  return code === 'HostIoError' && retryable && /still writes/.test(message);
}

/** The files of the instance that an undo has left. */
function leftOf(tree: Tree): string[] {
  const names = [...tree.keys()];
  return names.filter(
    (name) => isTemporary(name) || /^instances\/[0-9a-f]{8}-|\.everboot\/(claims|ledger|fetches)\//.test(name),
  );
}
