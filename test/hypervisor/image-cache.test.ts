import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { Claim } from '../../domain/claim.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { FetchOrder } from '../../domain/host-activities.ts';
import { type HostPaths, hostPaths } from '../../domain/host-paths.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { prepareFolders } from '../../hypervisor/host/prepare-host.ts';
import { findBase, writeFacts } from '../../hypervisor/image-store/base-facts.ts';
import { baseFiles } from '../../hypervisor/image-store/base-files.ts';
import { claimBaseImage } from '../../hypervisor/image-store/claim-base-image.ts';
import { claimBlankBase } from '../../hypervisor/image-store/claim-blank-base.ts';
import { addClaim, claimedBy, claimsOn, removeClaim } from '../../hypervisor/image-store/claims.ts';
import { dropLease, takeLease } from '../../hypervisor/image-store/fetch-lease.ts';
import { underFetchLock } from '../../hypervisor/image-store/ingest/ingest-step.ts';
import { releaseBaseImage } from '../../hypervisor/image-store/release-base-image.ts';
import { tryKernelLock } from '../../hypervisor/locks/kernel-lock.ts';
import { lockKeys } from '../../hypervisor/locks/lock-keys.ts';

const cacheName = 'a'.repeat(40);
const control: WorkControl = { signal: new AbortController().signal, onProgress: () => undefined };

let folder: string;
let paths: HostPaths;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-cache-'));
  paths = hostPaths(folder, '_base');
  await prepareFolders(paths);
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

function newClaim(): Claim {
  return { instanceId: randomUUID(), operationId: randomUUID() };
}

function orderFor(claim: Claim, instanceName: string): FetchOrder {
  const image = {
    reference: { file: '/image', digest: `sha256:${'0'.repeat(64)}`, format: 'raw' },
    title: 'image',
    format: 'raw',
    sizeBytes: 4,
    digest: { algorithm: 'sha256', hex: '0'.repeat(64) },
    minDiskGb: 0,
    minRamMb: 0,
    properties: {},
  } as const;
  return { claim, instanceName, base: { role: 'root', cacheName, image, forceRaw: true } };
}

async function putBase(order: FetchOrder): Promise<void> {
  await writeFacts(paths, order.base, { from: 'part', format: 'raw', virtualSizeBytes: 4, fileSizeBytes: 4 });
  await writeFile(`${paths.cache}/${cacheName}`, 'disk');
}

test('a claim is found by the file and by the instance, until it is removed', async () => {
  const claim = newClaim();
  await addClaim(paths, cacheName, claim);
  await addClaim(paths, cacheName, claim);
  assert.equal((await claimsOn(paths, cacheName)).length, 1);
  assert.deepEqual(await claimedBy(paths, claim.instanceId), [{ cacheName, claim }]);
  await removeClaim(paths, cacheName, claim);
  await removeClaim(paths, cacheName, claim);
  assert.deepEqual(await readdir(paths.claims), []);
});

test('a missing image is the first claimant’s to fetch, and asking again changes nothing', async () => {
  const order = orderFor(newClaim(), 'web-1');
  assert.deepEqual(await claimBaseImage(paths, order, control), { base: null });
  assert.deepEqual(await claimBaseImage(paths, order, control), { base: null });
});

test('a cached image is there for whoever claims it', async () => {
  const order = orderFor(newClaim(), 'web-1');
  await putBase(order);
  const { base } = await claimBaseImage(paths, order, control);
  assert.deepEqual(base, { cacheName, path: `${paths.cache}/${cacheName}`, format: 'raw', virtualSizeBytes: 4 });
});

test('a second claimant waits for the first one’s fetch, and gets what it published', async () => {
  const first = orderFor(newClaim(), 'web-1');
  await claimBaseImage(paths, first, control);
  const notes: string[] = [];
  const second = claimBaseImage(paths, orderFor(newClaim(), 'web-2'), {
    ...control,
    onProgress: ({ note }) => notes.push(note ?? ''),
  });
  await new Promise((resolve) => setTimeout(resolve, 400));
  await putBase(first);
  assert.equal((await second).base?.virtualSizeBytes, 4);
  assert.ok(notes.includes('fetched by web-1'));
});

test('a fetch whose instance released its claim is taken over at once', async () => {
  const [first, second] = [newClaim(), newClaim()];
  await addClaim(paths, cacheName, first);
  await addClaim(paths, cacheName, second);
  assert.ok((await takeLease(paths, cacheName, { claim: first, instanceName: 'web-1' })).mine);
  assert.equal((await takeLease(paths, cacheName, { claim: second, instanceName: 'web-2' })).mine, false);
  await removeClaim(paths, cacheName, first);
  assert.ok((await takeLease(paths, cacheName, { claim: second, instanceName: 'web-2' })).mine);
});

test('a silent fetch is taken over, but not while somebody still writes', async () => {
  const [first, second] = [newClaim(), newClaim()];
  for (const claim of [first, second]) await addClaim(paths, cacheName, claim);
  await takeLease(paths, cacheName, { claim: first, instanceName: 'web-1' });
  const leaseFile = `${paths.fetches}/${cacheName}.json`;
  const lease = { claim: first, instanceName: 'web-1', startedAtMs: 0, updatedAtMs: 0, doneBytes: 0, totalBytes: null };
  await writeFile(leaseFile, JSON.stringify(lease));
  const writer = await tryKernelLock({ lockFile: paths.locks, key: lockKeys.fetch(cacheName).text });
  assert.equal((await takeLease(paths, cacheName, { claim: second, instanceName: 'web-2' })).mine, false);
  await writer?.release();
  assert.ok((await takeLease(paths, cacheName, { claim: second, instanceName: 'web-2' })).mine);
});

test('a lease is dropped only by its own claim', async () => {
  const claim = newClaim();
  await addClaim(paths, cacheName, claim);
  await takeLease(paths, cacheName, { claim, instanceName: 'web-1' });
  await dropLease(paths, cacheName, newClaim());
  assert.equal((await readdir(paths.fetches)).length, 1);
  await dropLease(paths, cacheName, claim);
  assert.equal((await readdir(paths.fetches)).length, 0);
});

test('a step of a fetch is skipped when the file is in the cache already', async () => {
  const order = orderFor(newClaim(), 'web-1');
  await claimBaseImage(paths, order, control);
  await putBase(order);
  const made = await underFetchLock(paths, order, control, async () => assert.fail('the step ran'));
  assert.equal(made.cacheName, cacheName);
});

test('a step of a fetch that another build does fails retryably and names that build', async () => {
  await claimBaseImage(paths, orderFor(newClaim(), 'web-1'), control);
  const late = orderFor(newClaim(), 'web-2');
  await addClaim(paths, cacheName, late.claim);
  await assert.rejects(
    underFetchLock(paths, late, control, async () => 1),
    (error) => error instanceof EverbootFailure && error.code === 'BaseImageBusy' && /web-1/.test(error.message),
  );
});

test('a refused image is not fetched again by the next build, unless it changed', async () => {
  const first = orderFor(newClaim(), 'web-1');
  await claimBaseImage(paths, first, control);
  const refuse = async (): Promise<never> => {
    throw new EverbootFailure('ImageUnacceptable', 'it has a backing file');
  };
  await assert.rejects(underFetchLock(paths, first, control, refuse));
  await releaseBaseImage(paths, cacheName, first.claim);
  const second = orderFor(newClaim(), 'web-2');
  await assert.rejects(claimBaseImage(paths, second, control), /it has a backing file/);
  const changed = { ...second, base: { ...second.base, image: { ...second.base.image, sizeBytes: 5 } } };
  assert.deepEqual(await claimBaseImage(paths, changed, control), { base: null });
});

test('temporary files are removed with the last claim, and the published file stays', async () => {
  const [first, second] = [newClaim(), newClaim()];
  for (const claim of [first, second]) await addClaim(paths, cacheName, claim);
  const { part, sidecar, converted } = baseFiles(paths, cacheName);
  for (const path of [part, sidecar, converted]) await writeFile(path, 'half');
  await releaseBaseImage(paths, cacheName, first);
  assert.ok((await readdir(paths.cache)).includes(`${cacheName}.part`), 'the second still wants it');
  await releaseBaseImage(paths, cacheName, second);
  assert.deepEqual(await readdir(paths.cache), []);

  await putBase(orderFor(first, 'web-1'));
  await addClaim(paths, cacheName, first);
  await releaseBaseImage(paths, cacheName, first);
  assert.deepEqual(await readdir(paths.cache), [cacheName]);
  assert.ok(await findBase(paths, cacheName));
});

test('the cache keeps the time of the last use', async () => {
  const order = orderFor(newClaim(), 'web-1');
  await putBase(order);
  await utimes(`${paths.cache}/${cacheName}`, 1, 1);
  await claimBaseImage(paths, order, control);
  const { stat } = await import('node:fs/promises');
  assert.ok((await stat(`${paths.cache}/${cacheName}`)).mtimeMs > Date.now() - 60_000);
});

test('ten builds at once make a blank base once', async () => {
  let made = 0;
  const paths10 = await Promise.all(
    Array.from({ length: 10 }, () =>
      claimBlankBase(paths, { claim: newClaim(), cacheName: 'swap_16' }, control.signal, async (path) => {
        made += 1;
        await new Promise((resolve) => setTimeout(resolve, 50));
        await writeFile(path, 'swap');
      }),
    ),
  );
  assert.equal(made, 1);
  assert.equal(new Set(paths10).size, 1);
  assert.equal((await claimsOn(paths, 'swap_16')).length, 10);
});
