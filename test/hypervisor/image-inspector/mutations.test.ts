import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { EverbootFailure } from '../../../domain/failures.ts';
import { type ImageFile, maxHeadBytes, maxReadBytes } from '../../../hypervisor/image-inspector/image-bytes.ts';
import { inspectImage } from '../../../hypervisor/image-inspector/inspect-image.ts';
import { judgeHead } from '../../../hypervisor/image-inspector/judge-head.ts';
import { sampled } from '../../fixtures/sampled.ts';
import { type Kind, kinds, limits, openWorkshop, qemuSize, randomNumbers, type Workshop } from './made-images.ts';

/** Every run judges these: the changed images of each kind that one seed makes, one after the other. */
const rounds = 100;
const firstSeed = 1;
/** The search continues with changed images that have a seed each, so that any of them can be had alone. */
const furtherSeeds = [...Array(3000).keys()].map((number) => number + 2);
const sampledSeeds = 25;
/** How many of so many images qemu-img looks at, too, where they are accepted: each costs a process. */
const maxComparisons = (images: number): number => Math.ceil(images / 50);

let workshop: Workshop;
before(async () => {
  workshop = await openWorkshop();
});
after(() => workshop.close());

const telling = [0, 1, 0x7f, 0x80, 0xff];

/** Bytes of a header or a table are changed, or the end is cut off. */
function mutate(original: Buffer, random: () => number): Buffer {
  const bytes = Buffer.from(original);
  const places = [1, 128, 4096, 2 ** 16, 2 ** 18, bytes.length];
  for (let change = random() % 6; change >= 0; change--) {
    const place = random() % Math.min(places[random() % places.length] ?? 1, bytes.length);
    bytes[place] = random() % 2 === 0 ? (telling[random() % telling.length] ?? 0) : random() & 0xff;
  }
  return random() % 8 === 0 ? bytes.subarray(0, random() % bytes.length) : bytes;
}

function inMemory(bytes: Buffer): { image: ImageFile; readBytes: () => number } {
  let total = 0;
  const read = async (offset: number, length: number) => {
    assert.ok(offset >= 0 && length <= maxReadBytes, `a read of ${length} bytes at ${offset}`);
    const piece = bytes.subarray(Math.min(offset, bytes.length), Math.min(offset + length, bytes.length));
    total += piece.length;
    return piece;
  };
  const head = { bytes: bytes.subarray(0, maxHeadBytes), fileSizeBytes: bytes.length };
  return { image: { head, sizeBytes: bytes.length, read }, readBytes: () => total };
}

for (const [kind, { format }] of Object.entries(kinds)) {
  test(`a ${kind} with changed bytes gets a verdict, for no more reading than the file is long`, async () => {
    const original = await readFile(await workshop.make(kind as Kind));
    const random = randomNumbers(firstSeed);
    let comparisons = 0;
    for (let round = 0; round < rounds; round++) {
      const compares = comparisons <= maxComparisons(rounds);
      const isAccepted = await judge(mutate(original, random), {
        ...{ format, label: `${kind}, seed ${firstSeed}, round ${round}`, compares },
      });
      if (isAccepted) comparisons++;
    }
    comparisons = 0;
    const seeds = sampled(`changed bytes of a ${kind}`, furtherSeeds, sampledSeeds);
    for (const seed of seeds) {
      const compares = comparisons <= maxComparisons(seeds.length);
      const bytes = mutate(original, randomNumbers(seed));
      if (await judge(bytes, { format, label: `${kind}, seed ${seed}`, compares })) comparisons++;
    }
  });
}

/** Judges changed bytes, as a whole and by their head; where it compares, QEMU has to agree on the size. */
async function judge(
  bytes: Buffer,
  { format, label, compares }: { readonly format: string; readonly label: string; readonly compares: boolean },
): Promise<boolean> {
  const { image, readBytes } = inMemory(bytes);
  const { verdict, reasons, code, virtualSizeBytes } = await inspectImage(image, format, limits);
  assert.equal(verdict === 'refused', reasons.length > 0 && code !== null, label);
  assert.ok(readBytes() <= 4 * bytes.length + maxReadBytes, `${label} read ${readBytes()} bytes`);
  const headCode = codeOfHead(bytes, format);
  if (verdict !== 'accepted') return false;
  assert.equal(headCode, null, label);
  if (compares) {
    const path = await workshop.write('mutated', bytes);
    assert.equal(virtualSizeBytes, await qemuSize(path, format), label);
  }
  return true;
}

function codeOfHead(bytes: Buffer, format: string): string | null {
  try {
    judgeHead(bytes.subarray(0, maxHeadBytes), format, 'image', { ...limits, fileSizeBytes: bytes.length });
    return null;
  } catch (error) {
    assert.ok(error instanceof EverbootFailure);
    return error.code;
  }
}

/** Every mark by which a format is recognized, with its place; and words that are read as one. */
const signatures: readonly (readonly [number, string])[] = [
  [0, 'QFI\xfb\0\0\0\x02'],
  [0, 'QFI\xfb\0\0\0\x03'],
  [0, 'KDMV\x01\0\0\0'],
  [0, 'KDMV\x03\0\0\0'],
  [0, 'COWD'],
  [0, '# Disk DescriptorFile\ncreateType="monolithicSparse"\nRW '],
  [0, 'conectix'],
  [0, 'vhdxfile'],
  [0x40, '\x7f\x10\xda\xbe'],
  [0, 'QED\0'],
  [0, 'LUKS\xba\xbe\0\x01'],
  [0, 'WithoutFreeSpace'],
  [0, 'Bochs Virtual HD Image'],
  [0, '#!/bin/sh\n#V2.0 Format\nmodprobe cloop'],
  [0x8000, '\x01CD001\x01'],
  [0x8000, '\x01NSR02\x01'],
  [510, '\x55\xaa'],
  [512, 'EFI PART'],
];

test('random bytes behind each signature get a verdict, as a whole, as a head, and as any format', async () => {
  const random = randomNumbers(firstSeed);
  for (let round = 0; round < rounds * signatures.length; round++) {
    await judgeNoise(random, round, `seed ${firstSeed}, round ${round}`);
  }
  const places = [...signatures.keys()];
  const cases = furtherSeeds.flatMap((seed) => places.map((place) => ({ seed, place })));
  for (const { seed, place } of sampled('random bytes behind signatures', cases, sampledSeeds * signatures.length)) {
    await judgeNoise(randomNumbers(seed * signatures.length + place), place, `seed ${seed}, signature ${place}`);
  }
});

const declared = [null, 'raw', 'qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi', 'iso', 'ami'];

async function judgeNoise(random: () => number, round: number, about: string): Promise<void> {
  const noise = Buffer.from(Array.from({ length: 251 }, () => random() & (random() & 0xff)));
  const bytes = Buffer.alloc(random() % 80_000, noise);
  const [at, text] = signatures[round % signatures.length] ?? [0, ''];
  bytes.write(text, Math.min(at, bytes.length), 'latin1');
  const format = declared[random() % declared.length] ?? null;
  const { image, readBytes } = inMemory(bytes);
  const { verdict, reasons } = await inspectImage(image, format, limits);
  const label = `${JSON.stringify(text)} as ${format}, ${about}`;
  assert.equal(verdict === 'refused', reasons.length > 0, label);
  assert.ok(readBytes() <= 4 * bytes.length + maxReadBytes, `${label} read ${readBytes()} bytes`);
  const headCode = codeOfHead(bytes, format ?? 'raw');
  if (verdict === 'accepted' && format !== null) assert.equal(headCode, null, label);
}
