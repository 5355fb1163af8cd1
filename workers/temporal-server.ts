import { access, readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { EverbootFailure } from '../domain/failures.ts';
import { searchAttributeNames } from '../domain/operations.ts';
import { type RunningProgram, startProgram } from '../hypervisor/process/run-program.ts';

/**
 * The settings that make a self-hosted server quick: by default it looks at a shard's tasks 20 times a second at most,
 * which makes each step of a single workflow wait for up to 50 ms, however idle the machine is.
 */
const dynamicConfiguration = {
  'history.transferProcessorMaxPollRPS': 2000,
  'history.timerProcessorMaxPollRPS': 2000,
  'matching.enableFairness': true,
} as const;

/** Histories are an operator's memory of what happened; a month is long enough to ask. */
const retentionDays = 30;

export interface TemporalServer {
  readonly address: string;
  readonly uiAddress: string;
  readonly program: RunningProgram;
}

export interface TemporalServerOptions {
  readonly stateDirectory: string;
  readonly executable: string;
  readonly port: number;
  readonly uiPort: number;
  readonly namespace: string;
}

/** Where the Temporal CLI is: on the path, or where the set-up script put it; null when it is nowhere. */
export async function findTemporalCli(stateDirectory: string, searchPath: string): Promise<string | null> {
  const folders = [...searchPath.split(delimiter).filter((folder) => folder !== ''), join(stateDirectory, 'bin')];
  for (const folder of folders) {
    const candidate = join(folder, 'temporal');
    if (await isExecutable(candidate)) return candidate;
  }
  return null;
}

async function isExecutable(path: string): Promise<boolean> {
  return await access(path, 1).then(
    () => true,
    () => false,
  );
}

/** A server that dies as it starts is started again: the ports for its own parts are random, and may be taken. */
const startAttempts = 3;

/**
 * Starts a Temporal server on loopback, with a database file so that histories outlive it, and waits until it answers.
 * Throws TemporalUnreachable with its last words when it does not within half a minute.
 */
export async function startTemporalServer(options: TemporalServerOptions): Promise<TemporalServer> {
  const { stateDirectory, port, uiPort, namespace } = options;
  const address = `127.0.0.1:${port}`;
  const logFile = join(stateDirectory, 'temporal.log');
  for (let attempt = 1; ; attempt += 1) {
    const program = startProgram(options.executable, serverArguments(options), {
      logFile,
      workingDirectory: stateDirectory,
    });
    const lastWords = await untilAnswering(address, namespace, program);
    if (lastWords === undefined) {
      await keepHistories(address, namespace);
      return { address, uiAddress: `http://127.0.0.1:${uiPort}`, program };
    }
    await program.stop(2000);
    if (attempt < startAttempts) continue;
    const end = (await readFile(logFile, 'utf8').catch(() => '')).trim().slice(-500);
    throw new EverbootFailure('TemporalUnreachable', `the Temporal server did not start: ${lastWords}: ${end}`, {
      remedy: `Read ${logFile}.`,
    });
  }
}

function serverArguments({ stateDirectory, port, uiPort, namespace }: TemporalServerOptions): string[] {
  return [
    ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', `${port}`, '--ui-port', `${uiPort}`],
    ...['--namespace', namespace, '--db-filename', join(stateDirectory, 'temporal.db'), '--log-level', 'warn'],
    ...searchAttributeNames.flatMap((name) => ['--search-attribute', `${name}=Keyword`]),
    ...Object.entries(dynamicConfiguration).flatMap(([key, value]) => ['--dynamic-config-value', `${key}=${value}`]),
  ];
}

/** Undefined as soon as the server answers; else why it does not. */
async function untilAnswering(
  address: string,
  namespace: string,
  program: RunningProgram,
): Promise<string | undefined> {
  let ended = false;
  void program.ended.then(() => {
    ended = true;
  });
  const deadline = Date.now() + 30_000;
  while (!(await answers(address, namespace))) {
    if (ended) return 'it ended';
    if (Date.now() >= deadline) return 'no answer in 30 s';
    await sleep(100);
  }
  return undefined;
}

/** Whether a Temporal server with this namespace answers at an address. */
export async function answers(address: string, namespace: string): Promise<boolean> {
  let connection: Connection | undefined;
  try {
    connection = await Connection.connect({ address, connectTimeout: 2000 });
    await connection.withDeadline(Date.now() + 2000, () =>
      (connection as Connection).workflowService.describeNamespace({ namespace }),
    );
    return true;
  } catch {
    return false;
  } finally {
    await connection?.close();
  }
}

async function keepHistories(address: string, namespace: string): Promise<void> {
  const connection = await Connection.connect({ address });
  try {
    await connection.workflowService.updateNamespace({
      namespace,
      config: { workflowExecutionRetentionTtl: { seconds: (retentionDays * 86_400) as unknown as never } },
    });
  } finally {
    await connection.close();
  }
}
