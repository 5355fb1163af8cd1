import { EverbootFailure } from '../../domain/failures.ts';
import { type ImageHead, maxHeadBytes } from './image-bytes.ts';
import { beginsAsDisk, compareFormats, isRecognizable, recognizeFormats } from './recognize-format.ts';
import { collectReasons, judgeSize, refusalCode } from './verdict.ts';

/**
 * Judges the first bytes of an image while the rest is still to come, so that a hostile image costs no more than its head.
 *
 * @param head the image's first MiB, or all of it if it is smaller
 * @param title what the message calls the image
 * @throws ImageUnacceptable or ImageTooLarge, with every reason, when these bytes alone show that the image would be
 * refused. It is silent when they don't: then the whole file is judged later.
 */
export function judgeHead(
  head: Uint8Array,
  declaredFormat: string,
  title: string,
  limits: { readonly maxVirtualSizeBytes: number; readonly fileSizeBytes: number | null },
): void {
  const bytes = Buffer.from(head.buffer, head.byteOffset, Math.min(head.byteLength, maxHeadBytes));
  const image: ImageHead = { bytes, fileSizeBytes: limits.fileSizeBytes };
  if (!isRecognizable(image)) return;
  const { refuse, list } = collectReasons();
  const judges = recognizeFormats(image);
  const names = judges.map(({ name }) => name);
  const mayBeFixedVhd = declaredFormat === 'vhd' && beginsAsDisk(names);
  if (!mayBeFixedVhd) compareFormats(declaredFormat, names, refuse);
  const sizes = mayBeFixedVhd ? [] : judges.map((judge) => judge.judgeHead(image, refuse));
  const tooLarge = judgeSize(sizes[0] ?? null, limits.maxVirtualSizeBytes);
  const code = refusalCode(list, tooLarge);
  if (code === null) return;
  const reasons = tooLarge === undefined ? list : [...list, tooLarge];
  throw new EverbootFailure(code, `${title} is refused: ${reasons.join('; ')}`);
}
