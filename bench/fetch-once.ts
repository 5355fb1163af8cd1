import { join } from 'node:path';
import { parseConfiguration } from '../domain/configuration-schema.ts';
import type { ImageDescription } from '../domain/image.ts';
import { syncPath } from '../hypervisor/files/publish-file.ts';
import { judgeHead } from '../hypervisor/image-inspector/judge-head.ts';
import { downloadImage } from '../hypervisor/image-store/download/download-image.ts';
import { judgeImageFile } from '../hypervisor/image-store/ingest/judge-image-file.ts';
import { convertImage } from '../hypervisor/programs/qemu-img.ts';

/** The steps of a fetch without Temporal, as the activities take them: what is measured by bench/fetch.ts. */
const [, , what, given = '{}'] = process.argv;
const { url, hex, sizeBytes, folder } = JSON.parse(given) as Record<string, string> & { sizeBytes: number };
const { glance } = parseConfiguration({}, { machineName: 'bench' });
const control = { signal: AbortSignal.timeout(600_000), onProgress: () => undefined };
const part = join(folder ?? '', 'base.part');
const converted = join(folder ?? '', 'base.converted');

const image: ImageDescription = {
  reference: { url: url ?? '', digest: `sha512:${hex}`, format: 'qcow2' },
  ...{ title: 'bench', format: 'qcow2', sizeBytes, digest: { algorithm: 'sha512', hex: hex ?? '' } },
  ...{ minDiskGb: 0, minRamMb: 0, properties: {} },
};
const order = { image, partPath: part, timeMs: 600_000, judgeHead };
await downloadImage(order, { glance, fileImageRoots: [] }, control);
if (what === 'convert') {
  const limits = { maxVirtualSizeBytes: 2 ** 40, heldLocks: [] };
  const { format, virtualSizeBytes } = await judgeImageFile(part, image, limits, control);
  const conversion = { source: part, sourceFormat: format, destination: converted, virtualSizeBytes, heldLocks: [] };
  await convertImage(conversion, control);
  await syncPath(converted);
}
