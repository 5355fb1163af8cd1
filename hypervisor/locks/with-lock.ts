import { AsyncLocalStorage } from 'node:async_hooks';
import { EverbootFailure } from '../../domain/failures.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import { tryKernelLock, waitForKernelLock } from './kernel-lock.ts';
import { comesBefore, type LockKey } from './lock-keys.ts';

/** A lock while its work is done. Give the descriptor to every program that writes under the lock, see `HeldLock`. */
export interface WorkLock {
  readonly descriptor: number;
}

interface LockOptions<Busy> {
  /** Shared with others who share it; absent: held alone. */
  readonly shared?: boolean;
  /** How long to wait for whoever holds it; absent: not at all. */
  readonly waitMs?: number;
  /** Ends the wait, with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Returns, or throws, what this call has to answer when the lock was not free in time. */
  readonly whenBusy: () => Busy;
}

interface Holding {
  readonly key: LockKey;
  readonly shared: boolean;
  /** False from the release on: work that was started under a lock may outlive it. */
  isHeld: boolean;
}

/** The locks that the work at hand holds, however many functions are between them. */
const holdings = new AsyncLocalStorage<readonly Holding[]>();

/**
 * Does the work with a kernel lock held, and lets go of it when the work is over; a program that inherited the
 * descriptor keeps it until it ends. Throws InternalError, before it waits for anything, where the locks that the work
 * at hand holds do not all come before this one in `lockOrder`: two such works could wait for each other indefinitely.
 */
export async function withLock<Made, Busy>(
  { locks }: Pick<HostPaths, 'locks'>,
  key: LockKey,
  { shared = false, waitMs = 0, signal, whenBusy }: LockOptions<Busy>,
  work: (lock: WorkLock) => Promise<Made>,
): Promise<Made | Busy> {
  const before = (holdings.getStore() ?? []).filter(({ isHeld }) => isHeld);
  for (const holding of before) refuseOutOfOrder(holding, key, shared);
  const request = { lockFile: locks, key: key.text, shared };
  const lock = await waitForKernelLock(request, { timeoutMs: waitMs, ...(signal && { signal }) });
  if (lock === undefined) return whenBusy();
  const holding: Holding = { key, shared, isHeld: true };
  try {
    return await holdings.run([...before, holding], () => work(lock));
  } finally {
    holding.isHeld = false;
    await lock.release();
  }
}

/** Who shares a lock may share it once more: nobody waits for that. */
function refuseOutOfOrder({ key: held, shared: sharesHeld }: Holding, wanted: LockKey, shared: boolean): void {
  if (comesBefore(held.kind, wanted.kind)) return;
  if (held.text === wanted.text && sharesHeld && shared) return;
  throw new EverbootFailure(
    'InternalError',
    `the lock ${wanted.text} was asked for while ${held.text} is held, which comes after it or beside it`,
  );
}

/** Whether nobody holds the lock at this moment. It is taken and released at once, so it has no place in the order. */
export async function isLockFree({ locks }: Pick<HostPaths, 'locks'>, key: LockKey): Promise<boolean> {
  const lock = await tryKernelLock({ lockFile: locks, key: key.text });
  await lock?.release();
  return lock !== undefined;
}
