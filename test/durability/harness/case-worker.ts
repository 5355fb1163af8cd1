import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { NativeConnection } from '@temporalio/worker';
import { type HostOrder, serveHost } from './serve-host.ts';

const program = `${import.meta.dirname}/faulty-worker.ts`;

/** The worker of a case, wherever it runs. */
export interface CaseWorker {
  /** Settles when it was killed, or has ended, and null when it cannot be. */
  readonly ended: Promise<unknown> | null;
  stop(): Promise<void>;
}

/** In this process. */
export async function workerHere(connection: NativeConnection, order: HostOrder): Promise<CaseWorker> {
  return { ended: null, ...(await serveHost(connection, order)) };
}

/** In a process of its own; `stop` is SIGTERM. */
export async function workerProcess(order: HostOrder): Promise<CaseWorker> {
  const child: ChildProcess = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', program, JSON.stringify(order)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = once(child, 'exit');
  await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), ended]);
  if (child.exitCode !== null) throw new Error(`the worker of ${order.name} ended before it was ready`);
  return {
    ended,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      await ended;
    },
  };
}
