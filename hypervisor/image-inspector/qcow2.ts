import type { FormatJudge } from './image-bytes.ts';
import { judgeQcow2Extensions } from './qcow2-extensions.ts';
import { isQcow2, readQcow2Header } from './qcow2-header.ts';
import { judgeQcow2Mapping, judgeQcow2Refcounts, judgeQcow2Snapshots } from './qcow2-tables.ts';

/** QEMU's own format, see docs/interop/qcow2.txt in its source. */
export const qcow2: FormatJudge = {
  name: 'qcow2',
  matches: isQcow2,

  judgeHead(head, refuse) {
    const header = readQcow2Header(head, refuse);
    if (header === null) return null;
    judgeQcow2Extensions(header, head.bytes, head.fileSizeBytes, refuse);
    return header.virtualSizeBytes;
  },

  async judgeFile(file, refuse) {
    const header = readQcow2Header(file.head, refuse);
    if (header === null) return null;
    judgeQcow2Extensions(header, await file.read(0, header.clusterBytes), file.sizeBytes, refuse);
    if (header.isWalkable) {
      await judgeQcow2Refcounts(file, header, refuse);
      await judgeQcow2Snapshots(file, header, refuse);
      await judgeQcow2Mapping(file, header, refuse);
    }
    return header.virtualSizeBytes;
  },
};
