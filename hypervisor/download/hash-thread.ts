import { createHash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import type { HashOrder, HashThreadData } from './block-hasher.ts';

/** The thread that hashes, so that the one that downloads and answers Temporal never waits for a digest. */
const { algorithm, memory, blockBytes } = workerData as HashThreadData;
const bytes = new Uint8Array(memory);
let hash = createHash(algorithm);

/** One answer for each order, in their order. */
parentPort?.on('message', (order: HashOrder) => {
  if (order.kind === 'digest') {
    parentPort?.postMessage(hash.digest('hex'));
    return;
  }
  if (order.kind === 'restart') hash = createHash(algorithm);
  else hash.update(bytes.subarray(order.block * blockBytes, order.block * blockBytes + order.length));
  parentPort?.postMessage('');
});
