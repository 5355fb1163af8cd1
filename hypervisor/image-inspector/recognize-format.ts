import { imageFormats } from '../../domain/image.ts';
import type { FormatJudge, ImageHead, Refuse } from './image-bytes.ts';
import { iso } from './iso.ts';
import { gpt, mbr } from './partition-table.ts';
import { qcow2 } from './qcow2.ts';
import { refusedFormats } from './refused-formats.ts';
import { vdi } from './vdi.ts';
import { vhd } from './vhd.ts';
import { vhdx } from './vhdx.ts';
import { vmdk } from './vmdk.ts';

/** The format of everything that no other format claims: any bytes may be a disk's. */
const raw: FormatJudge = {
  name: 'raw',
  matches: () => true,
  judgeHead: ({ fileSizeBytes }) => fileSizeBytes,
  judgeFile: async ({ sizeBytes }) => sizeBytes,
};

const judges: readonly FormatJudge[] = [qcow2, vmdk, vhd, vhdx, vdi, ...refusedFormats, iso, gpt, mbr];

const diskContents: readonly string[] = ['raw', 'gpt', 'mbr'];
const bootFileContents: readonly string[] = [...diskContents, 'iso'];

/** The contents that each declared format allows. The names of Amazon's formats say what it is for, not what it is. */
const acceptedContents: Readonly<Record<string, readonly string[]>> = {
  raw: diskContents,
  ami: bootFileContents,
  aki: bootFileContents,
  ari: bootFileContents,
};

/** Enough bytes to look for every signature. */
const recognizableBytes = 34 * 2 ** 10;

export function isRecognizable({ bytes, fileSizeBytes }: ImageHead): boolean {
  return bytes.length >= recognizableBytes || bytes.length === fileSizeBytes;
}

/** The formats of which the first bytes could be: one, if nobody plays tricks. */
export function recognizeFormats(head: ImageHead): FormatJudge[] {
  const found = judges.filter((judge) => judge.matches(head));
  // A CD that also boots from a stick has a boot record in the space that a CD leaves free.
  const isHybrid = found.includes(iso) && found.every((judge) => [iso, gpt, mbr].includes(judge));
  if (isHybrid) return [iso];
  return found.length === 0 ? [raw] : found;
}

/**
 * Whether the first bytes may be those of any disk, so that a VHD of fixed size may be meant: only its end shows it.
 */
export function beginsAsDisk(recognized: readonly string[]): boolean {
  return recognized.every((name) => diskContents.includes(name));
}

/** Refuses what is of several formats, and what is not of the format that it is declared to be. */
export function compareFormats(declared: string | null, recognized: readonly string[], refuse: Refuse): void {
  if (recognized.length > 1) refuse(`its content is of several formats at once: ${recognized.join(', ')}`);
  if (declared === null) return;
  if (!imageFormats.some((format) => format === declared)) {
    refuse(`images of the format ${declared.slice(0, 64)} are not accepted; expected ${imageFormats.join(', ')}`);
    return;
  }
  const accepted = acceptedContents[declared] ?? [declared];
  const other = recognized.find((format) => !accepted.includes(format));
  if (other !== undefined) refuse(`it is declared as ${declared}, and its content is ${other}`);
}
