import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryLock } from 'fs-native-extensions';

/**
 * A lock that the kernel holds on one open file (an OFD lock). It ends when the last copy of its descriptor is closed,
 * so a program that inherited the descriptor keeps writers out even after its worker was killed.
 */
export interface HeldLock {
  /** Give it to every program that writes under this lock. */
  readonly descriptor: number;
  readonly release: () => Promise<void>;
}

export interface LockRequest {
  /** The one file whose bytes are the host's locks; it is never removed. */
  readonly lockFile: string;
  /**
   * The lock's name: `fetch:<cache name>`, `instance:<id>`; the host's are in lock-keys.ts. Each key is one byte of the
   * file.
   */
  readonly key: string;
  /** Shared locks keep out only an exclusive one. */
  readonly shared?: boolean;
}

/** Takes the lock if it is free, else returns undefined at once. */
export async function tryKernelLock(request: LockRequest): Promise<HeldLock | undefined> {
  const file = await open(request.lockFile, 'a+', 0o600);
  if (tryLock(file.fd, offsetOf(request.key), 1, { shared: request.shared ?? false })) return heldLock(file);
  await file.close();
  return undefined;
}

/**
 * Takes the lock, waiting up to `timeoutMs` for whoever holds it; undefined when the time is up.
 * Polls, because a wait inside the kernel could not be given up when the signal aborts.
 */
export async function waitForKernelLock(
  request: LockRequest,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<HeldLock | undefined> {
  const deadline = Date.now() + timeoutMs;
  let pauseMs = 5;
  for (;;) {
    signal?.throwIfAborted();
    const held = await tryKernelLock(request);
    if (held !== undefined) return held;
    const leftMs = deadline - Date.now();
    if (leftMs <= 0) return undefined;
    await sleep(Math.min(pauseMs, leftMs));
    pauseMs = Math.min(pauseMs * 2, 250);
  }
}

function heldLock(file: FileHandle): HeldLock {
  return { descriptor: file.fd, release: () => file.close() };
}

/** A byte for each key: 47 bits of its hash, within the offsets that a lock may have. */
function offsetOf(key: string): number {
  const hash = createHash('sha256').update(key).digest();
  return Number(hash.readBigUInt64BE(0) >> 17n);
}
