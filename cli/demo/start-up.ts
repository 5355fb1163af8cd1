import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EverbootFailure, isFailureCode } from '../../domain/failures.ts';
import type { DemoFolder } from './demo-folder.ts';
import { parseDocument, spawnOwn } from './own-commands.ts';

/** The first `up` of a release bundles the workflows, which takes a few seconds on a slow machine. */
const readyTimeoutMs = 90_000;
/** As long as a worker's running steps and then its server may take to stop. */
const stopTimeoutMs = 45_000;

export interface RunningUp {
  readonly temporal: string;
  readonly ui: string | null;
  readonly host: string;
  readonly pid: number;
  /** Stops the worker and its server, and waits until they are gone. */
  stop(): Promise<void>;
}

/**
 * Starts `everboot up` and waits until it is ready. It has a session of its own, since a Ctrl-C here must not end it
 * before the instance is deleted. Unless it is to be kept, the kernel ends it when we are killed.
 */
export async function startUp(
  folder: DemoFolder,
  { keep, signal }: { readonly keep: boolean; readonly signal: AbortSignal },
): Promise<RunningUp> {
  const ports = folder.usesNamedTemporal ? [] : await freePorts(2);
  const flags = ports.length === 0 ? [] : ['--port', `${ports[0]}`, '--ui-port', `${ports[1]}`];
  const logFile = join(folder.path, 'up.log');
  const log = await open(logFile, 'w', 0o600);
  const child = spawnOwn(['up', '--json', ...flags], folder, { keep, stdio: ['ignore', log.fd, log.fd] });
  await log.close();
  const stop = async (): Promise<void> => {
    if (hasEnded(child)) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
    await ended;
    clearTimeout(timer);
  };
  try {
    const ready = await untilReady(child, logFile, signal);
    return { temporal: ready.temporal, ui: ready.ui, host: ready.host, pid: child.pid ?? 0, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface ReadyLine {
  readonly temporal: string;
  readonly ui: string | null;
  readonly host: string;
}

async function untilReady(child: ChildProcess, logFile: string, signal: AbortSignal): Promise<ReadyLine> {
  const deadline = Date.now() + readyTimeoutMs;
  for (;;) {
    signal.throwIfAborted();
    const isOver = hasEnded(child) || Date.now() > deadline;
    const log = await readFile(logFile, 'utf8');
    const documents = log
      .split('\n')
      .map(parseDocument)
      .filter((parsed) => parsed !== null);
    const ready = documents.find(({ event }) => event === 'ready');
    if (ready !== undefined) return ready as unknown as ReadyLine;
    if (isOver) throw failureOf(documents, log, logFile);
    await sleep(50, undefined, { signal });
  }
}

function failureOf(
  documents: readonly Readonly<Record<string, unknown>>[],
  log: string,
  logFile: string,
): EverbootFailure {
  const reported = documents.map(({ error }) => error as { code: string; message: string; remedy: string } | undefined);
  const error = reported.findLast((document) => typeof document?.message === 'string');
  if (error !== undefined && isFailureCode(error.code)) {
    return new EverbootFailure(error.code, error.message, { remedy: error.remedy });
  }
  const lastWords = log.trim().slice(-400);
  return new EverbootFailure('TemporalUnreachable', `\`everboot up\` did not become ready: ${lastWords}`, {
    remedy: `Read ${logFile}, and temporal.log beside it.`,
  });
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

/** Ports that nobody listens on now; they are held until all are known, so that no two are the same. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  const ports: number[] = [];
  for (const server of servers) {
    if (!server.listening) await once(server, 'listening');
    ports.push((server.address() as { port: number }).port);
  }
  for (const server of servers) {
    server.close();
    await once(server, 'close');
  }
  return ports;
}
