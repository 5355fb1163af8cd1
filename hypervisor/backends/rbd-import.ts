import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { WorkControl } from '../../domain/step-progress.ts';
import { type CephCluster, osdTimeoutSeconds, silenceFailure } from '../programs/ceph.ts';
import { type DataExtent, dataExtents } from '../programs/qemu-img.ts';
import { createRbdImage, importRbdDiff, type RbdImageName } from '../programs/rbd.ts';

/** An image's objects have this size unless somebody says otherwise, and are written whole then. */
const objectBytes = 4 * 2 ** 20;

export interface RawFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly heldLocks: readonly number[];
}

/**
 * Makes an image of a raw file, and reads only the file's data. `rbd import` reads the holes as well, to find them
 * empty: an ephemeral disk of 20 GiB takes it most of a minute, this a fraction of a second.
 */
export async function importRawFile(
  cluster: CephCluster,
  name: RbdImageName,
  { path, sizeBytes, heldLocks }: RawFile,
  control: WorkControl,
): Promise<void> {
  const extents = await dataExtents(path, heldLocks, control);
  const totalBytes = extents.reduce((sum, { length }) => sum + length, 0);
  await createRbdImage(cluster, name, sizeBytes, { signal: control.signal, heldLocks });
  await whileItMoves(cluster, control, async (moving) => {
    const input = Readable.from(diffOf(path, sizeBytes, extents, moving), { objectMode: false });
    await importRbdDiff(cluster, name, { input, sizeBytes: totalBytes }, { signal: moving.signal, heldLocks });
  });
}

/**
 * Ends work that has made no progress for twice as long as one answer of an OSD may take: it may take that long until
 * the cluster has another OSD answer for a dead one.
 */
async function whileItMoves(
  cluster: CephCluster,
  control: WorkControl,
  work: (control: WorkControl) => Promise<void>,
): Promise<void> {
  const seconds = 2 * osdTimeoutSeconds(cluster);
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), seconds * 1000);
  try {
    await work({
      signal: AbortSignal.any([control.signal, stop.signal]),
      onProgress: (progress) => {
        timer.refresh();
        control.onProgress(progress);
      },
    });
  } catch (error) {
    control.signal.throwIfAborted();
    throw stop.signal.aborted ? await silenceFailure(cluster, `it took nothing for ${seconds} s`) : error;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The data of a file as the difference to an image without any, in Ceph's format (its doc/dev/rbd-diff.rst, version 1):
 * a size, then each piece with its place and length, then the end.
 */
async function* diffOf(
  path: string,
  sizeBytes: number,
  extents: readonly DataExtent[],
  { onProgress }: WorkControl,
): AsyncGenerator<Buffer> {
  const totalBytes = extents.reduce((sum, { length }) => sum + length, 0);
  const file = await open(path, 'r');
  try {
    yield Buffer.from('rbd diff v1\n');
    yield diffRecord('s', sizeBytes);
    let doneBytes = 0;
    for (const { start, length } of extents) {
      const end = Math.min(start + length, sizeBytes);
      for (let at = start; at < end; ) {
        const bytes = Math.min(end, at - (at % objectBytes) + objectBytes) - at;
        const piece = Buffer.alloc(bytes);
        const { bytesRead } = await file.read(piece, 0, bytes, at);
        if (bytesRead !== bytes) throw new Error(`${path} became shorter while it was read`);
        yield Buffer.concat([diffRecord('w', at, bytes), piece]);
        at += bytes;
        doneBytes += bytes;
        onProgress({ doneBytes, totalBytes });
      }
    }
    yield Buffer.from('e');
  } finally {
    await file.close();
  }
}

function diffRecord(tag: 's' | 'w', ...numbers: readonly number[]): Buffer {
  const record = Buffer.alloc(1 + 8 * numbers.length);
  record.write(tag, 'latin1');
  for (const [index, value] of numbers.entries()) record.writeBigUInt64LE(BigInt(value), 1 + 8 * index);
  return record;
}
