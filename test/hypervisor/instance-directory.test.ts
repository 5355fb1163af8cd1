import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { type Claim, claimName } from '../../domain/claim.ts';
import { EverbootFailure, type FailureCode } from '../../domain/failures.ts';
import { containerRootName, type HostPaths, hostPaths, instanceDirectory } from '../../domain/host-paths.ts';
import type { InstanceRecord } from '../../domain/instance-record.ts';
import { removeTemporaryFiles, temporaryName } from '../../hypervisor/files/publish-file.ts';
import { prepareFolders } from '../../hypervisor/host/prepare-host.ts';
import { addClaim } from '../../hypervisor/image-store/claims.ts';
import { withDiskLock, withInstanceLock } from '../../hypervisor/instance/instance-lock.ts';
import { readInstanceRecord, writeInstanceRecord } from '../../hypervisor/instance/instance-record.ts';
import { removeInstance } from '../../hypervisor/instance/remove-instance.ts';
import { reserveDirectory } from '../../hypervisor/instance/reserve-directory.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { promiseSpace, promisesByClaim, returnSpace } from '../../hypervisor/space/space-ledger.ts';

const noDomain = async (): Promise<void> => undefined;

let folder: string;
let paths: HostPaths;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-directory-'));
  paths = hostPaths(folder, '_base');
  await prepareFolders(paths);
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

function newRecord(claim: Claim = { instanceId: randomUUID(), operationId: randomUUID() }): InstanceRecord {
  const createdAt = '2026-01-01T00:00:00.000Z';
  return {
    version: 1,
    claim,
    name: 'web-1',
    host: 'h1',
    specDigest: 'd',
    cacheNames: [],
    state: 'building',
    createdAt,
  };
}

function failsWith(code: FailureCode) {
  return (error: unknown) => error instanceof EverbootFailure && error.code === code;
}

test('a reserved directory carries its claim from the first moment, and can be passed through but not listed', async () => {
  const record = newRecord();
  const directory = await reserveDirectory(paths, record, noDomain);
  assert.deepEqual(await readInstanceRecord(paths, record.claim.instanceId), record);
  assert.equal((await stat(directory)).mode & 0o777, 0o711);
  assert.equal(await reserveDirectory(paths, record, noDomain), directory, 'reserving twice changes nothing');
});

test('reserving gives back what earlier operations were promised, and nothing of its own fetch beside it', async () => {
  const own = newRecord();
  const earlier = { ...own.claim, operationId: randomUUID() };
  const other = newRecord().claim;
  for (const claim of [own.claim, earlier, other]) {
    const path = join(folder, 'download');
    await promiseSpace(paths, { claim, purpose: 'download-1', path, bytes: 4096, reservedBytes: 0 });
  }
  await reserveDirectory(paths, own, noDomain);
  assert.deepEqual((await promisesByClaim(paths)).sort(), [own.claim, other].map(claimName).sort());
});

test('a directory without a claim is never taken, and never removed', async () => {
  const record = newRecord();
  const directory = instanceDirectory(paths, record.claim.instanceId);
  await mkdir(directory);
  await writeFile(`${directory}/disk`, 'somebody’s');
  await assert.rejects(reserveDirectory(paths, record, noDomain), failsWith('NotManaged'));
  await removeInstance(paths, record.claim);
  assert.deepEqual(await readdir(directory), ['disk']);
});

test('a ready instance is never taken over, what an earlier operation left is', async () => {
  const first = newRecord();
  const { instanceId } = first.claim;
  const directory = await reserveDirectory(paths, first, noDomain);
  await writeFile(`${directory}/disk`, 'half');
  await addClaim(paths, 'swap_16', first.claim);
  const second = newRecord({ instanceId, operationId: randomUUID() });
  const removed: Claim[] = [];
  await reserveDirectory(paths, second, async (earlier) => void removed.push(earlier.claim));
  assert.deepEqual(removed, [first.claim], 'the domain of the earlier operation goes before its disks');
  assert.deepEqual(await readdir(directory), ['everboot.json']);
  assert.deepEqual(await readdir(paths.claims), []);

  await writeInstanceRecord(directory, { ...second, state: 'ready' });
  const third = newRecord({ instanceId, operationId: randomUUID() });
  await assert.rejects(reserveDirectory(paths, third, noDomain), failsWith('InstanceExists'));
});

test('an operation removes only what carries its own claim', async () => {
  const record = newRecord();
  const directory = await reserveDirectory(paths, record, noDomain);
  await removeInstance(paths, { ...record.claim, operationId: randomUUID() });
  assert.deepEqual(await readdir(directory), ['everboot.json']);
  await removeInstance(paths, record.claim);
  await removeInstance(paths, record.claim);
  assert.deepEqual((await readdir(paths.instances)).sort(), ['.everboot', '_base']);
});

test('what a crash left in the middle of a removal is removed with the next one', async () => {
  const record = newRecord();
  await mkdir(`${paths.instances}/${record.claim.instanceId}.0a1b2c3d.everboot-tmp`);
  await removeInstance(paths, record.claim);
  assert.deepEqual((await readdir(paths.instances)).sort(), ['.everboot', '_base']);
});

/** A tree of which the kernel takes no whole path, as a container's root can make it. */
async function makeDeepTree(folder: string): Promise<void> {
  const script =
    'name=$(printf "%0200d" 0); i=0; while [ $i -lt 30 ]; do mkdir $name; cd -P $name; i=$((i+1)); done; : > file';
  await runProgram('bash', ['-c', script], { workingDirectory: folder, timeoutMs: 120_000 });
}

test('a container’s root that is deeper than any path is removed with its instance', async () => {
  const record = newRecord();
  const directory = await reserveDirectory(paths, record, noDomain);
  await mkdir(`${directory}/${containerRootName}`);
  await makeDeepTree(`${directory}/${containerRootName}`);
  await removeInstance(paths, record.claim);
  assert.deepEqual((await readdir(paths.instances)).sort(), ['.everboot', '_base']);
});

test('a partial root that is deeper than any path is removed with the temporary files', async () => {
  const draft = temporaryName(join(folder, containerRootName));
  await mkdir(draft);
  await makeDeepTree(draft);
  await writeFile(temporaryName(join(folder, containerRootName)), 'a file is one too');
  await removeTemporaryFiles(join(folder, containerRootName));
  assert.deepEqual((await readdir(folder)).sort(), ['.everboot', '_base']);
});

test('no path is built from anything but a UUID', () => {
  for (const id of ['..', '../../etc', '', 'A0000000-0000-4000-8000-000000000000', 'a/b']) {
    assert.throws(() => instanceDirectory(paths, id), failsWith('SpecInvalid'));
  }
});

test('steps of one instance run concurrently; its removal waits for the last of them', async () => {
  const instanceId = randomUUID();
  const { signal } = new AbortController();
  const order: string[] = [];
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  const steps = ['disk', 'disk.swap'].map((name) =>
    withDiskLock(paths, { instanceId, name }, signal, async () => {
      order.push(`${name} begins`);
      await pause(100);
      order.push(`${name} ends`);
    }),
  );
  await pause(30);
  await withInstanceLock(paths, instanceId, { shared: false }, async () => void order.push('removed'));
  await Promise.all(steps);
  assert.deepEqual(order.slice(0, 2).sort(), ['disk begins', 'disk.swap begins']);
  assert.equal(order.at(-1), 'removed');
});

test('the same gigabytes are promised once', async () => {
  const { statfs } = await import('node:fs/promises');
  const { bavail, bsize } = await statfs(folder);
  const most = Math.floor(bavail * bsize * 0.6);
  const [first, second] = [newRecord().claim, newRecord().claim];
  const request = { purpose: 'disk-disk', path: join(folder, 'disk'), bytes: most, reservedBytes: 0 };
  await promiseSpace(paths, { ...request, claim: first });
  await promiseSpace(paths, { ...request, claim: first });
  await assert.rejects(
    promiseSpace(paths, { ...request, claim: second }),
    (error) =>
      error instanceof EverbootFailure &&
      error.code === 'InsufficientSpace' &&
      /promised to other steps/.test(error.message),
  );
  await returnSpace(paths, first);
  await promiseSpace(paths, { ...request, claim: second });
  await returnSpace(paths, second, 'disk-disk');
  assert.deepEqual(await readdir(paths.ledger), []);
});
