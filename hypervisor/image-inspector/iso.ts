import { type FormatJudge, type ImageHead, type Refuse, requireInside } from './image-bytes.ts';

const descriptorOffset = 32 * 2 ** 10;
const descriptorBytes = 2 ** 11;
const identifiers = ['CD001', 'NSR02', 'NSR03'];

/** A CD's or DVD's file system: ISO 9660 (ECMA-119), or UDF. Its bytes are the disk's bytes. */
export const iso: FormatJudge = {
  name: 'iso',
  matches: ({ bytes }) =>
    bytes.length >= descriptorOffset + descriptorBytes &&
    identifiers.includes(bytes.toString('latin1', descriptorOffset + 1, descriptorOffset + 6)),

  judgeHead(head, refuse) {
    judgeVolume(head, refuse);
    return head.fileSizeBytes;
  },

  async judgeFile(file, refuse) {
    judgeVolume(file.head, refuse);
    return file.sizeBytes;
  },
};

/** A volume is no longer than the file. */
function judgeVolume({ bytes, fileSizeBytes }: ImageHead, refuse: Refuse): void {
  const isPrimary = bytes.readUInt8(descriptorOffset) === 1;
  if (!isPrimary || bytes.toString('latin1', descriptorOffset + 1, descriptorOffset + 6) !== 'CD001') return;
  const blocks = bytes.readUInt32LE(descriptorOffset + 80);
  const blockBytes = bytes.readUInt16LE(descriptorOffset + 128);
  requireInside('its volume', 0, blocks * blockBytes, fileSizeBytes, refuse);
}
