import type { FailureCode } from '../../domain/failures.ts';
import type { ImageFile, Refuse } from './image-bytes.ts';
import { beginsAsDisk, compareFormats, recognizeFormats } from './recognize-format.ts';
import { collectReasons, judgeSize, refusalCode } from './verdict.ts';
import { endsAsFixedVhd, judgeFixedVhd } from './vhd.ts';

/** The findings on an image file, and whether a disk may be built on it. */
export interface Inspection {
  readonly declaredFormat: string | null;
  /** A format of `imageFormats`, or `gpt` or `mbr` for a raw image with partitions, or what else was recognized. */
  readonly detectedFormat: string | null;
  /** The disk's size as QEMU counts it, in whole sectors. */
  readonly virtualSizeBytes: number | null;
  readonly fileSizeBytes: number | null;
  readonly verdict: 'accepted' | 'refused';
  readonly code: FailureCode | null;
  readonly reasons: readonly string[];
}

const sectorBytes = 512;

/** Judges an image's bytes, see `inspectImageFile`. An image of null is no file with bytes. */
export async function inspectImage(
  image: ImageFile | null,
  declaredFormat: string | null,
  limits: { readonly maxVirtualSizeBytes: number },
): Promise<Inspection> {
  const { refuse, list } = collectReasons();
  if (image === null) refuse('it is not a regular file');
  else if (image.sizeBytes === 0) refuse('it is empty');
  const found =
    image === null || image.sizeBytes === 0
      ? { detectedFormat: null, sizeBytes: null }
      : await judgeContent(image, declaredFormat, refuse);
  const virtualSizeBytes = found.sizeBytes === null ? null : wholeSectors(found.sizeBytes);
  if (virtualSizeBytes === 0) refuse('its disk has no bytes');
  // Nothing is accepted of which the size could not be read: the file may have become shorter meanwhile.
  if (virtualSizeBytes === null && list.length === 0) refuse('the size of its disk cannot be read');
  const tooLarge = judgeSize(found.sizeBytes, limits.maxVirtualSizeBytes);
  const code = refusalCode(list, tooLarge);
  return {
    declaredFormat,
    detectedFormat: found.detectedFormat,
    virtualSizeBytes,
    fileSizeBytes: image?.sizeBytes ?? null,
    verdict: code === null ? 'accepted' : 'refused',
    code,
    reasons: tooLarge === undefined ? list : [...list, tooLarge],
  };
}

/** QEMU rounds a file of odd length up. Beyond what a number can hold, the size is not reported. */
function wholeSectors(sizeBytes: number): number | null {
  const rounded = Math.ceil(sizeBytes / sectorBytes) * sectorBytes;
  return Number.isSafeInteger(rounded) ? rounded : null;
}

async function judgeContent(image: ImageFile, declared: string | null, refuse: Refuse) {
  const judges = recognizeFormats(image.head);
  const names = judges.map(({ name }) => name);
  if (beginsAsDisk(names) && (declared === 'vhd' || (declared === null && (await endsAsFixedVhd(image))))) {
    return { detectedFormat: 'vhd', sizeBytes: await judgeFixedVhd(image, refuse) };
  }
  compareFormats(declared, names, refuse);
  const sizes: (number | null)[] = [];
  for (const judge of judges) sizes.push(await judge.judgeFile(image, refuse));
  return { detectedFormat: names[0] ?? null, sizeBytes: sizes[0] ?? null };
}
