import { createHash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { signatureVerifier } from '../../signatures/signature-verifier.ts';
import type { HashOrder, HashThreadData } from './block-hasher.ts';

/** The thread that hashes, so that the one that downloads and answers Temporal never waits for a digest. */
const { algorithm, memory, blockBytes, signature } = workerData as HashThreadData;
const bytes = new Uint8Array(memory);
const begin = () => ({ hash: createHash(algorithm), verifier: signature && signatureVerifier(signature) });
let { hash, verifier } = begin();

/** One answer for each order, in their order. */
parentPort?.on('message', (order: HashOrder) => {
  parentPort?.postMessage(answer(order));
});

function answer(order: HashOrder): string {
  switch (order.kind) {
    case 'digest':
      return hash.digest('hex');
    case 'signature':
      return verifier?.isValid() === true ? 'valid' : 'invalid';
    case 'restart':
      ({ hash, verifier } = begin());
      return '';
    case 'update': {
      const start = order.block * blockBytes;
      const filled = bytes.subarray(start, start + order.length);
      hash.update(filled);
      verifier?.update(filled);
      return '';
    }
  }
}
