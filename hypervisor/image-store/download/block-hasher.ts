import { Worker } from 'node:worker_threads';
import type { SignatureCheck } from '../../signatures/signature-verifier.ts';

export interface HashThreadData {
  readonly algorithm: string;
  readonly memory: SharedArrayBuffer;
  readonly blockBytes: number;
  readonly signature: SignatureCheck | null;
}

export type HashOrder =
  | { readonly kind: 'update'; readonly block: number; readonly length: number }
  | { readonly kind: 'restart' }
  | { readonly kind: 'digest' }
  | { readonly kind: 'signature' };

/** Hashes blocks of memory that it shares with us, one after the other in the order in which they were given. */
export interface BlockHasher {
  readonly blocks: readonly Uint8Array[];
  /** Settles when the block may be filled again. */
  update(block: number, length: number): Promise<void>;
  /** Forgets what was hashed. */
  restart(): Promise<void>;
  /** The digest as hex, once. */
  digest(): Promise<string>;
  /** Whether the bytes have the signature that was given, once; false where none was. */
  hasSignature(): Promise<boolean>;
  stop(): Promise<void>;
}

/**
 * Starts a thread for one file, which also verifies its signature where one is given. Memory is
 * `blockCount * blockBytes`, however long the file.
 */
export function startBlockHasher(
  algorithm: string,
  blockCount: number,
  blockBytes: number,
  signature: SignatureCheck | null = null,
): BlockHasher {
  const memory = new SharedArrayBuffer(blockCount * blockBytes);
  const data: HashThreadData = { algorithm, memory, blockBytes, signature };
  // Without our own command line: what it says is meant for the main program.
  const thread = new Worker(new URL('./hash-thread.ts', import.meta.url), { workerData: data, execArgv: [] });
  const waiting: PromiseWithResolvers<string>[] = [];
  let failure: Error | undefined;
  const fail = (error: Error): void => {
    failure ??= error;
    for (const { reject } of waiting.splice(0)) reject(failure);
  };
  thread.on('message', (answer: string) => waiting.shift()?.resolve(answer));
  thread.on('error', fail);
  thread.on('exit', () => fail(new Error('the thread that hashes has ended')));

  const ask = async (order: HashOrder): Promise<string> => {
    if (failure !== undefined) throw failure;
    const answer = Promise.withResolvers<string>();
    waiting.push(answer);
    thread.postMessage(order);
    return await answer.promise;
  };
  return {
    blocks: Array.from({ length: blockCount }, (_, block) => new Uint8Array(memory, block * blockBytes, blockBytes)),
    update: async (block, length) => void (await ask({ kind: 'update', block, length })),
    restart: async () => void (await ask({ kind: 'restart' })),
    digest: async () => await ask({ kind: 'digest' }),
    hasSignature: async () => (await ask({ kind: 'signature' })) === 'valid',
    stop: async () => void (await thread.terminate()),
  };
}
