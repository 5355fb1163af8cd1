import { open } from 'node:fs/promises';

/** Where a qcow2 header keeps the size of its clusters, as a power of two in a big-endian word. */
const clusterBitsOffset = 20;

/** The size of a cluster of a judged qcow2 file, in bytes; read here because a program would take longer. */
export async function readClusterSize(path: string): Promise<number> {
  const file = await open(path, 'r');
  try {
    const word = Buffer.alloc(4);
    await file.read(word, 0, word.length, clusterBitsOffset);
    return 2 ** word.readUInt32BE();
  } finally {
    await file.close();
  }
}
