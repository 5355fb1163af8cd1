import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import type { HashFileData, HashFileMessage } from './hash-file.ts';

const blockBytes = 2 ** 20;
/** The piece that is left out where it is zero. Part of what the hash means: it must not change. */
const pieceBytes = 64 * 1024;
const reportEveryMs = 250;

const { path, bytesPerSecond } = workerData as HashFileData;
const zeros = Buffer.alloc(pieceBytes);
const pause = new Int32Array(new SharedArrayBuffer(4));

function say(message: HashFileMessage): void {
  parentPort?.postMessage(message);
}

/** Waits as long as what was read should have taken at the highest rate that is allowed. */
function keepRate(readBytes: number, startedAtMs: number): void {
  const aheadMs = (readBytes / bytesPerSecond) * 1000 - (Date.now() - startedAtMs);
  if (aheadMs > 1) Atomics.wait(pause, 0, 0, Math.min(aheadMs, 1000));
}

function hashOpenFile(descriptor: number): void {
  const { size, ino, blocks } = fstatSync(descriptor);
  // Zeros cost nothing where they are holes; where the file has none, they are read like everything else.
  const hasHoles = blocks * 512 < size;
  const hash = createHash('sha256');
  const head = Buffer.alloc(8);
  head.writeBigUInt64BE(BigInt(size));
  hash.update(head);
  const block = Buffer.alloc(blockBytes);
  const startedAtMs = Date.now();
  let reportedAtMs = startedAtMs;
  let dataBytes = 0;
  for (let position = 0; position < size; ) {
    const bytesRead = readSync(descriptor, block, 0, Math.min(blockBytes, size - position), position);
    if (bytesRead === 0) throw new Error(`${path} became shorter while it was read`);
    for (let at = 0; at < bytesRead; at += pieceBytes) {
      const piece = block.subarray(at, Math.min(at + pieceBytes, bytesRead));
      if (zeros.compare(piece, 0, piece.length, 0, piece.length) === 0) continue;
      head.writeBigUInt64BE(BigInt(position + at));
      hash.update(head).update(piece);
      dataBytes += piece.length;
    }
    position += bytesRead;
    keepRate(hasHoles ? dataBytes : position, startedAtMs);
    if (Date.now() - reportedAtMs < reportEveryMs) continue;
    reportedAtMs = Date.now();
    say({ kind: 'progress', doneBytes: position, totalBytes: size });
  }
  say({ kind: 'done', hash: hash.digest('hex'), sizeBytes: size, inode: ino });
}

try {
  const descriptor = openSync(path, 'r');
  try {
    hashOpenFile(descriptor);
  } finally {
    closeSync(descriptor);
  }
} catch (error) {
  const { code, errno, message } = error as NodeJS.ErrnoException;
  say({ kind: 'failed', code: code ?? null, errno: errno ?? null, message });
}
