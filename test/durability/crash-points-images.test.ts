import { mkdtemp, rm, stat } from 'node:fs/promises';
import { after, before, suite, test } from 'node:test';
import { claimBaseImage } from '../../activities/claim-base-image.ts';
import { convertImage } from '../../activities/convert-image.ts';
import { downloadImage } from '../../activities/download-image.ts';
import type { Host } from '../../activities/host.ts';
import { verifyImage } from '../../activities/verify-image.ts';
import type { FetchOrder } from '../../domain/host-activities.ts';
import type { ImageReference } from '../../domain/image.ts';
import { imageCacheName } from '../../hypervisor/image-cache/cache-name.ts';
import { prepareFolders } from '../../hypervisor/image-cache/prepare-folders.ts';
import { makeQcow2Image, makeRawImage, type TestImage } from '../fixtures/images.ts';
import { type SlowImageServer, serveSlowly } from '../fixtures/slow-image-server.ts';
import { claim, crashHost, undo } from './crash-points/crash-hosts.ts';
import { asActivity } from './crash-points/step-context.ts';
import { type CrashCase, sweepCrashPoints } from './crash-points/sweep.ts';

const mebibyte = 2 ** 20;
let folder: string;
let raw: FetchOrder;
let qcow2: FetchOrder;
let served: FetchOrder;
let server: SlowImageServer;

before(async () => {
  folder = await mkdtemp('/var/tmp/everboot-crash-images-');
  const rawImage = await makeRawImage(folder, 'image.raw', 2 * mebibyte);
  server = await serveSlowly(rawImage.path, 1024 * mebibyte);
  const url = { url: server.url, digest: rawImage.digest, format: 'raw' } as const;
  served = await fetchOrder(rawImage, url);
  raw = await fetchOrder(rawImage, fileOf(rawImage, 'raw'));
  const qcow2Image = await makeQcow2Image(folder, 'image.qcow2', 16);
  qcow2 = await fetchOrder(qcow2Image, fileOf(qcow2Image, 'qcow2'));
});
after(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

function fileOf({ path, digest }: TestImage, format: 'raw' | 'qcow2'): ImageReference {
  return { file: path, digest, format };
}

async function fetchOrder({ path, digest }: TestImage, reference: ImageReference): Promise<FetchOrder> {
  const format = 'format' in reference ? reference.format : 'raw';
  const known = { title: 'image', format, sizeBytes: (await stat(path)).size, minDiskGb: 0, minRamMb: 0 };
  const [, hex = ''] = digest.split(':');
  const image = { reference, ...known, digest: { algorithm: 'sha256', hex }, properties: {} } as const;
  return {
    claim,
    instanceName: 'web-1',
    base: { role: 'root', cacheName: imageCacheName(image, 'root'), image, forceRaw: true },
  };
}

type Step = (host: Host, order: FetchOrder) => Promise<unknown>;

/** A step of a fetch, after those that come before it. */
function fetchCase(module: string, name: string, order: () => FetchOrder, earlier: readonly Step[]): CrashCase {
  return {
    ...{ module, name, undo, order },
    async prepare(lane) {
      const host = await crashHost(lane, '', [folder]);
      await prepareFolders(host.paths);
      for (const step of earlier) await asActivity(() => step(host, order()));
      return host;
    },
  };
}

/** A second after the publication its process has the file's hash recorded. */
function publication(order: () => FetchOrder, earlier: readonly Step[]): CrashCase {
  return { ...fetchCase('publish-base-image', 'publishBaseImage', order, earlier), goesOn: true };
}

const [claimed, fetched, judged] = [[claimBaseImage], [claimBaseImage, downloadImage], [verifyImage]] as const;

const cases: Readonly<Record<string, CrashCase>> = {
  'the claim on an image': fetchCase('claim-base-image', 'claimBaseImage', () => raw, []),
  'a download': fetchCase('download-image', 'downloadImage', () => served, claimed),
  'a copy of an image that is on the host': fetchCase('download-image', 'downloadImage', () => raw, claimed),
  'the judgement of an image': fetchCase('verify-image', 'verifyImage', () => raw, fetched),
  'a conversion': fetchCase('convert-image', 'convertImage', () => qcow2, [...fetched, ...judged]),
  'the publication of what was fetched': publication(() => raw, [...fetched, ...judged]),
  'the publication of what was converted': publication(() => qcow2, [...fetched, ...judged, convertImage]),
};

suite('a kill before any call by which a fetch changes files leaves nothing half made under a final name', () => {
  for (const [title, crash] of Object.entries(cases)) {
    test(title, { timeout: 300_000 }, (t) => sweepCrashPoints(t, crash));
  }
});
