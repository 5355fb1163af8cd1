import { makeBlankBase, makeBlankDisk } from '../disks/blank-disk.ts';
import { formatterOf } from '../disks/formatter.ts';
import { baseOf, makeRootDisk } from '../disks/root-disk.ts';
import { imageStore } from '../image-store/image-store.ts';
import type { DiskBackend } from './disk-backend.ts';

/**
 * Overlays in the instance's directory: the root's on its image, the others on formatted files of the cache, which
 * every instance with such a disk shares. Removed with the directory.
 */
export const qcow2Backend: DiskBackend = {
  rootBytes: async (disk, base, preallocate) =>
    preallocate === 'space' ? (disk.sizeBytes ?? baseOf(disk, base).virtualSizeBytes) : 0,
  makeRoot: async (disk, base, context, control) => await makeRootDisk(disk, baseOf(disk, base), context, control),
  blankBytes: ({ sizeBytes }, preallocate) => (preallocate === 'space' ? sizeBytes : 0),
  async makeBlank(disk, context, control) {
    const { claim, paths } = context;
    const { sizeBytes } = disk;
    const format = formatterOf(disk, control, context);
    const cacheName = imageStore.names.ofBlank(disk, context);
    const backingFile = await imageStore.claimBlank(paths, { claim, cacheName }, control.signal, (path, heldLocks) =>
      makeBlankBase({ path, sizeBytes, heldLocks }, format),
    );
    return await makeBlankDisk({ ...disk, backingFile }, format, context, control);
  },
  removeDisks: async () => undefined,
};
