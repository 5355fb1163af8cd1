import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { claimBaseImage as claimActivity } from '../../activities/claim-base-image.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { FetchOrder } from '../../domain/host-activities.ts';
import { type HostPaths, hostPaths } from '../../domain/host-paths.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { prepareFolders } from '../../hypervisor/host/prepare-host.ts';
import { removeFacts, writeFacts } from '../../hypervisor/image-store/base-facts.ts';
import { claimBaseImage } from '../../hypervisor/image-store/claim-base-image.ts';
import { underFetchLock } from '../../hypervisor/image-store/ingest/ingest-step.ts';
import { activityOfRunningOperation } from '../fixtures/activity-environment.ts';
import { testConfiguration } from '../fixtures/test-host.ts';

const cacheName = 'a'.repeat(40);
const [certificate, otherCertificate] = [randomUUID(), randomUUID()];
const control: WorkControl = { signal: new AbortController().signal, onProgress: () => undefined };
const refused = { code: 'ImageSignatureInvalid', message: /in the cache .* was not verified with the certificate/ };

let folder: string;
let paths: HostPaths;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-signed-base-'));
  paths = hostPaths(folder, '_base');
  await prepareFolders(paths);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A new build's order of the same image; signed where a certificate is named. */
function orderOf(certificateId?: string): FetchOrder {
  const signature = { signature: 'AAAA', hashMethod: 'SHA-256', keyType: 'RSA-PSS' } as const;
  const image = {
    reference: { glance: 'c1f0e1a2-0000-4000-8000-5f3b1c2d4e5f' },
    title: 'image',
    format: 'raw',
    sizeBytes: 4,
    digest: { algorithm: 'sha256', hex: '0'.repeat(64) },
    minDiskGb: 0,
    minRamMb: 0,
    properties: {},
    ...(certificateId !== undefined && { signature: { ...signature, certificateId } }),
  } as const;
  const claim = { instanceId: randomUUID(), operationId: randomUUID() };
  return { claim, instanceName: 'web-1', base: { role: 'root', cacheName, image, forceRaw: true } };
}

/** Has the image in the cache, as if it had been fetched for that order. */
async function putBase(order: FetchOrder): Promise<void> {
  await writeFacts(paths, order.base, { from: 'part', format: 'raw', virtualSizeBytes: 4, fileSizeBytes: 4 });
  await writeFile(`${paths.cache}/${cacheName}`, 'disk');
}

test('a cached image serves the builds that ask for the signature with which it was verified, or for none', async () => {
  await putBase(orderOf(certificate));
  for (const order of [orderOf(certificate), orderOf()]) {
    assert.equal((await claimBaseImage(paths, order, control)).base?.cacheName, cacheName);
  }
});

test('a cached image that was fetched unverified, by another certificate or by Nova is refused', async () => {
  for (const fetchedFor of [orderOf(), orderOf(otherCertificate)]) {
    await putBase(fetchedFor);
    await assert.rejects(claimBaseImage(paths, orderOf(certificate), control), refused);
  }
  await removeFacts(paths, cacheName);
  await assert.rejects(claimBaseImage(paths, orderOf(certificate), control), refused);
});

test('an unverified image that another build published meanwhile is refused, and forgotten with its file', async () => {
  const order = orderOf(certificate);
  assert.deepEqual(await claimBaseImage(paths, order, control), { base: null });
  await putBase(orderOf());
  await assert.rejects(
    underFetchLock(paths, order, control, async () => assert.fail('there is nothing to fetch')),
    refused,
  );
  await rm(`${paths.cache}/${cacheName}`);
  assert.deepEqual(await claimBaseImage(paths, order, control), { base: null });
});

test('a refusal for the signature does not hold for who asks for none', async () => {
  const order = orderOf(certificate);
  const refuse = async (): Promise<never> => {
    throw new EverbootFailure('ImageSignatureInvalid', 'it does not verify');
  };
  await claimBaseImage(paths, order, control);
  await assert.rejects(underFetchLock(paths, order, control, refuse));
  const again = { ...orderOf(certificate), claim: order.claim };
  await assert.rejects(claimBaseImage(paths, again, control), /it does not verify/);
  assert.deepEqual(await claimBaseImage(paths, { ...orderOf(), claim: order.claim }, control), { base: null });
});

test('a build that looked the image up before the host verified signatures gets no cached one', async () => {
  await putBase(orderOf());
  const toml = `[glance]\nverify_glance_signatures = true\nsignature_certificates_path = "${folder}"\n`;
  const host = { configuration: await testConfiguration(folder, 'test', toml), paths, stateDirectory: folder };
  const claim = (order: FetchOrder) => activityOfRunningOperation().run(() => claimActivity(host, order));
  await assert.rejects(claim(orderOf()), { code: 'ImageSignatureInvalid', message: /when it was looked up/ });
  await putBase(orderOf(certificate));
  assert.deepEqual(await claim(orderOf(certificate)), {
    base: { cacheName, path: `${paths.cache}/${cacheName}`, format: 'raw', virtualSizeBytes: 4 },
  });
});
