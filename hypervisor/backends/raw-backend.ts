import { stat } from 'node:fs/promises';
import { makeBlankDisk } from '../disks/blank-disk.ts';
import { formatterOf } from '../disks/formatter.ts';
import { baseOf, makeRootDisk } from '../disks/root-disk.ts';
import type { DiskBackend } from './disk-backend.ts';

/** Raw files in the instance's directory: Nova's `raw` of old, its `flat` of today. Removed with the directory. */
export const rawBackend: DiskBackend = {
  async rootBytes(disk, base, preallocate) {
    const { path, virtualSizeBytes } = baseOf(disk, base);
    if (preallocate === 'space') return disk.sizeBytes ?? virtualSizeBytes;
    return (await stat(path)).blocks * 512;
  },
  makeRoot: async (disk, base, context, control) => await makeRootDisk(disk, baseOf(disk, base), context, control),
  blankBytes: ({ sizeBytes }, preallocate) => (preallocate === 'space' ? sizeBytes : 0),
  makeBlank: async (disk, context, control) =>
    await makeBlankDisk({ ...disk, backingFile: null }, formatterOf(disk, control, context), context, control),
  removeDisks: async () => undefined,
};
