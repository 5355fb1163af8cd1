import { rm, stat } from 'node:fs/promises';
import { claimBaseImage } from '../../../activities/claim-base-image.ts';
import type { Host } from '../../../activities/context/host.ts';
import { convertImage } from '../../../activities/convert-image.ts';
import { downloadImage } from '../../../activities/download-image.ts';
import { verifyImage } from '../../../activities/verify-image.ts';
import type { FetchOrder } from '../../../domain/host-activities.ts';
import type { ImageReference } from '../../../domain/image.ts';
import { prepareFolders } from '../../../hypervisor/host/prepare-host.ts';
import { imageCacheName } from '../../../hypervisor/image-store/cache-name.ts';
import { makeQcow2Image, makeRawImage, type TestImage } from '../../fixtures/images.ts';
import { serveSlowly } from '../../fixtures/slow-image-server.ts';
import { claim, crashHost, undo } from './crash-hosts.ts';
import type { CrashCase } from './lane.ts';
import { asActivity } from './step-context.ts';

const mebibyte = 2 ** 20;

/** The steps of a fetch, each with what it finds. */
export interface ImageCases {
  readonly cases: Readonly<Record<string, CrashCase>>;
  close(): Promise<void>;
}

type Step = (host: Host, order: FetchOrder) => Promise<unknown>;

/** Makes small images in a folder, and a server of one of them. */
export async function makeImageCases(folder: string): Promise<ImageCases> {
  const rawImage = await makeRawImage(folder, 'image.raw', 2 * mebibyte);
  const server = await serveSlowly(rawImage.path, 1024 * mebibyte);
  const served = await fetchOrder(rawImage, { url: server.url, digest: rawImage.digest, format: 'raw' });
  const raw = await fetchOrder(rawImage, fileOf(rawImage, 'raw'));
  const qcow2Image = await makeQcow2Image(folder, 'image.qcow2', 16);
  const qcow2 = await fetchOrder(qcow2Image, fileOf(qcow2Image, 'qcow2'));

  const caseOf = (module: string, name: string, order: FetchOrder, earlier: readonly Step[]): CrashCase => ({
    ...{ module, name, undo },
    order: () => order,
    async prepare(lane) {
      const host = await crashHost(lane, '', [folder]);
      await prepareFolders(host.paths);
      for (const step of earlier) await asActivity(() => step(host, order));
      return host;
    },
  });
  const fetched = [claimBaseImage, downloadImage];
  const judged = [...fetched, verifyImage];
  const publication = (order: FetchOrder, earlier: readonly Step[]): CrashCase =>
    caseOf('publish-base-image', 'publishBaseImage', order, earlier);
  const cases = {
    'the claim on an image': caseOf('claim-base-image', 'claimBaseImage', raw, []),
    'a download': caseOf('download-image', 'downloadImage', served, [claimBaseImage]),
    'a copy of an image that is on the host': caseOf('download-image', 'downloadImage', raw, [claimBaseImage]),
    'the judgement of an image': caseOf('verify-image', 'verifyImage', raw, fetched),
    'a conversion': caseOf('convert-image', 'convertImage', qcow2, judged),
    'the publication of what was fetched': publication(raw, judged),
    'the publication of what was converted': publication(qcow2, [...judged, convertImage]),
  };
  return {
    cases,
    async close() {
      await server.close();
      await rm(folder, { recursive: true });
    },
  };
}

function fileOf({ path, digest }: TestImage, format: 'raw' | 'qcow2'): ImageReference {
  return { file: path, digest, format };
}

async function fetchOrder({ path, digest }: TestImage, reference: ImageReference): Promise<FetchOrder> {
  const format = 'format' in reference ? reference.format : 'raw';
  const known = { title: 'image', format, sizeBytes: (await stat(path)).size, minDiskGb: 0, minRamMb: 0 };
  const [, hex = ''] = digest.split(':');
  const image = { reference, ...known, digest: { algorithm: 'sha256', hex }, properties: {} } as const;
  const cacheName = imageCacheName(image, 'root');
  return { claim, instanceName: 'web-1', base: { role: 'root', cacheName, image, forceRaw: true } };
}
