import { type Refuse, requireInside, u64be } from './image-bytes.ts';
import type { Qcow2Header } from './qcow2-header.ts';

const end = 0;
const dataFileName = 0x44415441;
const fullDiskEncryption = 0x0537be77;
const bitmaps = 0x23852875;

const maxBitmaps = 65_535;
const maxBitmapDirectoryBytes = 64 * 2 ** 20;

/**
 * Judges the extensions between the header and the end of the first cluster. `bytes` begins with the file and may end
 * before the cluster does; then the rest is not judged.
 */
export function judgeQcow2Extensions(
  header: Qcow2Header,
  bytes: Buffer,
  fileSizeBytes: number | null,
  refuse: Refuse,
): void {
  let offset = header.headerBytes;
  while (offset + 8 <= Math.min(header.clusterBytes, bytes.length)) {
    const kind = bytes.readUInt32BE(offset);
    const lengthBytes = bytes.readUInt32BE(offset + 4);
    offset += 8;
    // QEMU looks at the length first, even of the one that marks the end.
    if (lengthBytes > header.clusterBytes - offset) {
      refuse('a header extension is longer than the first cluster');
      return;
    }
    if (kind === end) return;
    if (kind === dataFileName) refuse('it names another file for its data');
    if (kind === fullDiskEncryption) refuse('it is encrypted');
    if (kind === bitmaps && offset + lengthBytes <= bytes.length) {
      judgeBitmaps(bytes.subarray(offset, offset + lengthBytes), header.clusterBytes, fileSizeBytes, refuse);
    }
    offset += Math.ceil(lengthBytes / 8) * 8;
  }
}

function judgeBitmaps(extension: Buffer, clusterBytes: number, fileSizeBytes: number | null, refuse: Refuse): void {
  if (extension.length !== 24) {
    refuse(`its bitmaps extension is ${extension.length} bytes long; expected 24`);
    return;
  }
  const count = extension.readUInt32BE(0);
  const directoryBytes = u64be(extension, 8);
  const directoryOffset = u64be(extension, 16);
  if (count > maxBitmaps) refuse(`it has ${count} bitmaps; at most ${maxBitmaps} are read`);
  if (directoryBytes > maxBitmapDirectoryBytes) refuse('its bitmap directory is larger than 64 MiB');
  if (directoryOffset % clusterBytes !== 0) refuse('its bitmap directory begins in the middle of a cluster');
  requireInside('the bitmap directory', directoryOffset, directoryBytes, fileSizeBytes, refuse);
}
