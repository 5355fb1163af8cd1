import { mkdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Configuration } from '../domain/configuration.ts';
import { EverbootFailure } from '../domain/failures.ts';
import { type UpFile, upFileName } from '../domain/up-file.ts';
import { publishText } from '../hypervisor/files/publish-file.ts';
import { ensureKeyPair } from '../hypervisor/secrets/key-pair.ts';
import { readGlanceCredentials } from './glance-credentials.ts';
import { log } from './log.ts';
import { runWorker, type TemporalAddress } from './run-worker.ts';
import { answers, findTemporalCli, startTemporalServer, type TemporalServer } from './temporal-server.ts';

export interface UpReady {
  readonly temporal: string;
  /** Null where the server is not ours and so its UI is not known. */
  readonly ui: string | null;
  readonly host: string;
}

export interface UpOptions {
  readonly stateDirectory: string;
  readonly temporal: TemporalAddress;
  /** Ports for a server that has to be started. */
  readonly port: number;
  readonly uiPort: number;
  readonly searchPath: string;
  readonly signal: AbortSignal;
  readonly onReady: (ready: UpReady) => void;
}

/**
 * Runs everything that one machine needs: a Temporal server where none answers at a loopback address, the keys for
 * sealed secrets, and this host's worker. Stops the worker first, so that its last words reach the server, then the
 * server.
 */
export async function runUp(configuration: Configuration, options: UpOptions): Promise<void> {
  const { stateDirectory, signal, onReady } = options;
  // The worker reads them again; an error in them is reported before a server is started for it.
  await readGlanceCredentials(configuration.glance.cloud, process.env);
  await mkdir(stateDirectory, { recursive: true });
  const { publicKeyFile, privateKeyFile } = configuration.secrets;
  if (publicKeyFile !== null && privateKeyFile !== null) await ensureKeyPair(publicKeyFile, privateKeyFile);

  const server = await serverFor(options);
  const temporal = server === null ? options.temporal : { ...options.temporal, address: server.address };
  const upFile = join(stateDirectory, upFileName);
  try {
    await runWorker(configuration, {
      stateDirectory,
      temporal,
      signal,
      onReady: ({ temporal: address, host }) => {
        const ready: UpReady = { temporal: address, ui: server?.uiAddress ?? null, host };
        const told: UpFile = { ...ready, namespace: temporal.namespace, pid: process.pid };
        void publishText(upFile, `${JSON.stringify(told)}\n`, 0o644)
          .catch((error: unknown) => log.warn({ error: String(error) }, `${upFile} could not be written`))
          .then(() => onReady(ready));
      },
    });
  } finally {
    await rm(upFile, { force: true });
    await server?.program.stop(10_000);
  }
}

/** A server that was killed leaves its port within moments; what stays there and is silent is no server to wait for. */
const silentForMs = 10_000;

/** Starts a server where the address is this machine's and nothing listens there; null where a server answers. */
async function serverFor({
  stateDirectory,
  temporal,
  port,
  uiPort,
  searchPath,
}: UpOptions): Promise<TemporalServer | null> {
  const { address, namespace } = temporal;
  const deadline = Date.now() + silentForMs;
  for (;;) {
    if (await answers(address, namespace)) return null;
    if (isLoopback(address) && !(await isTaken(address, port))) break;
    if (!isLoopback(address) || Date.now() >= deadline) {
      throw new EverbootFailure(
        'TemporalUnreachable',
        `no Temporal server with the namespace "${namespace}" answers at ${address}`,
      );
    }
    await sleep(200);
  }
  const executable = await findTemporalCli(stateDirectory, searchPath);
  if (executable === null) {
    throw new EverbootFailure('ProgramMissing', 'the Temporal CLI is neither on the path nor in the state folder', {
      remedy: 'Run `./everboot up`, which gets it, or install it and put it on the path.',
    });
  }
  return await startTemporalServer({ stateDirectory, executable, port, uiPort, namespace });
}

function isLoopback(address: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/.test(address);
}

/** Whether something listens at an address of this machine, which the kernel knows at once. */
async function isTaken(address: string, port: number): Promise<boolean> {
  const host = address.replace(/:\d+$/, '').replace(/[[\]]/g, '');
  return await new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
