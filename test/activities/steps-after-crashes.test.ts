import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Host } from '../../activities/context/host.ts';
import { deleteFiles } from '../../activities/delete-instance.ts';
import { makingDisk } from '../../activities/disks/make-disk.ts';
import { planInstance } from '../../activities/plan-instance.ts';
import { publishBaseImage } from '../../activities/publish-base-image.ts';
import type { Claim } from '../../domain/claim.ts';
import { EverbootFailure, type FailureCode } from '../../domain/failures.ts';
import type { FetchOrder } from '../../domain/host-activities.ts';
import { hostPaths } from '../../domain/host-paths.ts';
import { parseSpec } from '../../domain/parse-spec.ts';
import { prepareFolders } from '../../hypervisor/host/prepare-host.ts';
import { writeFacts } from '../../hypervisor/image-store/base-facts.ts';
import { addClaim } from '../../hypervisor/image-store/claims.ts';
import { releaseBaseImage } from '../../hypervisor/image-store/release-base-image.ts';
import { writeInstanceRecord } from '../../hypervisor/instance/instance-record.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { promiseSpace } from '../../hypervisor/space/space-ledger.ts';
import { activityOfRunningOperation } from '../fixtures/activity-environment.ts';
import { testConfiguration } from '../fixtures/test-host.ts';

let folder: string;
let host: Host;
const cacheName = 'a'.repeat(40);
const newClaim = (): Claim => ({ instanceId: crypto.randomUUID(), operationId: crypto.randomUUID() });

before(async () => {
  folder = await mkdtemp('/var/tmp/everboot-test-');
  const configuration = await testConfiguration(folder, 'test');
  const paths = hostPaths(configuration.host.instancesPath, '_base');
  await prepareFolders(paths);
  host = { configuration, paths, stateDirectory: folder };
});
after(() => rm(folder, { recursive: true, force: true }));

/** Runs a step as an activity, outside of any server. */
async function inActivity<Made>(step: () => Promise<Made>): Promise<Made> {
  return (await activityOfRunningOperation().run(step)) as Made;
}

function failsWith(code: FailureCode): (error: unknown) => boolean {
  return (error) => error instanceof EverbootFailure && error.code === code;
}

function fetchOrder(claim: Claim): FetchOrder {
  const digest = `sha256:${'0'.repeat(64)}`;
  const image = {
    reference: { file: '/image', digest, format: 'raw' },
    title: 'image',
    format: 'raw',
    sizeBytes: 8,
    digest: { algorithm: 'sha256', hex: '0'.repeat(64) },
    minDiskGb: 0,
    minRamMb: 0,
    properties: {},
  } as const;
  return { claim, instanceName: 'web-1', base: { role: 'root', cacheName, image, forceRaw: true } };
}

test('a fragment is not published under facts of an earlier download', async () => {
  const order = fetchOrder(newClaim());
  await writeFacts(host.paths, order.base, { from: 'part', format: 'raw', virtualSizeBytes: 8, fileSizeBytes: 8 });
  await writeFile(`${host.paths.cache}/${cacheName}.part`, 'abc');
  await addClaim(host.paths, cacheName, order.claim);
  await assert.rejects(
    inActivity(() => publishBaseImage(host, order)),
    failsWith('HostIoError'),
  );
  assert.ok(!(await readdir(host.paths.cache)).includes(cacheName));
  await releaseBaseImage(host.paths, cacheName, order.claim);
});

test('a claim on a cached file that would be refused can be released', async () => {
  const path = join(host.paths.cache, cacheName);
  const args = ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', '/etc/passwd', path, '1M'];
  await runProgram('qemu-img', args, { timeoutMs: 10_000 });
  await releaseBaseImage(host.paths, cacheName, newClaim());
  assert.ok((await readdir(host.paths.cache)).includes(cacheName), 'it was never ours to remove');
  await rm(path);
});

test('what killed attempts left of a disk is removed before the next one starts', async () => {
  const claim = newClaim();
  const directory = `${host.paths.instances}/${claim.instanceId}`;
  await mkdir(directory);
  await writeInstanceRecord(directory, {
    version: 1,
    claim,
    name: 'web-1',
    host: 'test',
    specDigest: '',
    cacheNames: [],
    state: 'building',
    createdAt: new Date().toISOString(),
  });
  for (const name of ['disk.0123abcd.everboot-tmp', 'disk.local.0123abcd.everboot-tmp'])
    await writeFile(join(directory, name), 'half');
  await inActivity(() => makingDisk(host, { claim, name: 'disk' }, async () => undefined));
  assert.deepEqual((await readdir(directory)).sort(), ['disk.local.0123abcd.everboot-tmp', 'everboot.json']);
  await rm(directory, { recursive: true });
});

test('a deletion that was killed between renaming and removing is finished by the next one', async () => {
  const claim = newClaim();
  const doomed = `${host.paths.instances}/${claim.instanceId}.0123abcd.everboot-tmp`;
  await mkdir(doomed);
  await writeFile(join(doomed, 'disk.config'), 'secret');
  const request = { claim, purpose: 'disk-disk', path: join(doomed, 'disk'), bytes: 1, reservedBytes: 0 };
  await promiseSpace(host.paths, request);
  await inActivity(() => deleteFiles(host, { instanceId: claim.instanceId }));
  assert.deepEqual((await readdir(host.paths.instances)).sort(), ['.everboot', '_base']);
  assert.deepEqual(await readdir(host.paths.ledger), []);
});

test('an operation’s id that is no UUID, and a flavor that no client would make, are refused', async () => {
  const { spec } = parseSpec({ name: 'web-1', flavor: 'm1.tiny', boot: 'disks' });
  const flavor = { name: 'm1.tiny', vcpus: 1, memoryMb: 512, rootGb: 1, ephemeralGb: 0, swapMb: 0 };
  const claim = { instanceId: spec.id, operationId: crypto.randomUUID() };
  const plan = (changes: object) =>
    inActivity(() => planInstance(host, { claim, spec, flavor, specDigest: '', ...changes }));
  assert.equal((await plan({})).ready, null);
  for (const operationId of ['a/b', '..', '']) {
    await assert.rejects(plan({ claim: { ...claim, operationId } }), failsWith('SpecInvalid'));
  }
  await assert.rejects(plan({ flavor: { ...flavor, rootGb: -1 } }), failsWith('SpecInvalid'));
  await assert.rejects(plan({ claim: newClaim() }), failsWith('SpecInvalid'));
});
