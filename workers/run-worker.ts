import { Client, Connection, isGrpcServiceError } from '@temporalio/client';
import { NativeConnection, type NativeConnectionOptions } from '@temporalio/worker';
import type { Configuration } from '../domain/configuration.ts';
import { EverbootFailure } from '../domain/failures.ts';
import { searchAttributeNames } from '../domain/operations.ts';
import { mistakes } from '../domain/problems.ts';
import { checkVolumeGroup } from '../hypervisor/backends/lvm-volume.ts';
import { closeLibvirt } from '../hypervisor/libvirt/libvirt.ts';
import { trustFolderProblem } from '../hypervisor/signatures/trusted-certificate.ts';
import { ensureCacheSchedules } from './cache-schedules.ts';
import { readGlanceCredentials } from './glance-credentials.ts';
import { startHostWorker, untilPolling } from './host-worker.ts';
import { log } from './log.ts';
import { ensureReconcileSchedule, reconcileNow } from './reconcile-schedule.ts';
import { installTemporalRuntime } from './temporal-runtime.ts';

/** Where Temporal is, as the command line found it. */
export interface TemporalAddress {
  readonly address: string;
  readonly namespace: string;
  readonly tls?: NonNullable<NativeConnectionOptions['tls']>;
  readonly apiKey?: string;
}

export interface WorkerReady {
  readonly temporal: string;
  readonly host: string;
}

/** A server that accepts connections and answers nothing is as good as none. */
const connectTimeoutMs = 10_000;
const startCallsMs = 10_000;

/**
 * Runs this host's worker until the signal says stop, then drains it: nothing new is taken, running steps get a moment
 * to end, and what is left is given to the next worker. Calls `onReady` when Temporal has seen it ask for work. Throws
 * ConfigInvalid for credentials that are missing or incomplete and for certificates that may not be trusted, and
 * TemporalUnreachable when no server answers at the start; one that goes away later is waited for.
 */
export async function runWorker(
  configuration: Configuration,
  options: {
    readonly stateDirectory: string;
    readonly temporal: TemporalAddress;
    readonly signal: AbortSignal;
    readonly onReady: (ready: WorkerReady) => void;
  },
): Promise<void> {
  const { stateDirectory, temporal, signal, onReady } = options;
  const credentials = await readGlanceCredentials(configuration.glance.cloud, process.env);
  await checkTrustFolder(configuration);
  // What is there already can be undone and deleted without the group, so only what would need it is refused, at its plan.
  await checkVolumeGroup(configuration.libvirt, signal).catch((error: unknown) => {
    if (!(error instanceof EverbootFailure)) throw error;
    log.warn({ code: error.code, error: error.message, remedy: error.remedy }, 'this host cannot make its disks');
  });
  installTemporalRuntime();
  const { namespace, ...connect } = temporal;
  const [connection, control] = await Promise.all([
    NativeConnection.connect(connect).catch((error: unknown) => unreachable(temporal.address, error)),
    Connection.connect({ ...connect, connectTimeout: connectTimeoutMs }).catch((error: unknown) =>
      unreachable(temporal.address, error),
    ),
  ]);
  try {
    const client = new Client({ connection: control, namespace });
    await control.withDeadline(Date.now() + startCallsMs, async () => {
      await registerSearchAttributes(control, namespace).catch((error: unknown) => {
        throw isGrpcServiceError(error) ? unreachable(temporal.address, error) : error;
      });
      await ensureCacheSchedules(client, configuration);
      await ensureReconcileSchedule(client, configuration);
    });
    const worker = await startHostWorker({ configuration, credentials, stateDirectory, connection, namespace });
    const stop = (): void => void worker.shutdown().catch(() => undefined);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    try {
      const { name } = configuration.host;
      const polling = untilPolling(control, namespace, name, worker.identity, signal);
      await Promise.race([polling.then(() => onReady({ temporal: temporal.address, host: name })), worker.ended]);
      if (!signal.aborted) await reconcileNow(client, name, signal);
      await worker.ended;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  } finally {
    await closeLibvirt();
    await control.close();
    // Workers that broke or did not drain hold it still, and their failure is the one to report.
    await connection.close().catch(() => undefined);
  }
}

/** Reported at the start, and not by the first boot that fails. */
async function checkTrustFolder({ glance }: Configuration): Promise<void> {
  const folder = glance.signatureCertificatesPath;
  if (!glance.verifyGlanceSignatures || folder === null) return;
  const problem = await trustFolderProblem(folder);
  if (problem === undefined) return;
  throw mistakes('ConfigInvalid', 'the configuration', [`[glance] signature_certificates_path: ${folder} ${problem}`]);
}

function unreachable(address: string, error: unknown): never {
  const words = error instanceof Error ? error.message : String(error);
  throw new EverbootFailure('TemporalUnreachable', `no Temporal server answers at ${address}: ${words}`);
}

/** The attributes by which operators find instances. Only an administrator may add them on some servers. */
async function registerSearchAttributes(connection: Connection, namespace: string): Promise<void> {
  const present = await connection.operatorService.listSearchAttributes({ namespace });
  const missing = searchAttributeNames.filter((name) => !Object.hasOwn(present.customAttributes ?? {}, name));
  if (missing.length === 0) return;
  const keyword = 2;
  try {
    const searchAttributes = Object.fromEntries(missing.map((name) => [name, keyword]));
    await connection.operatorService.addSearchAttributes({ namespace, searchAttributes });
  } catch (error) {
    throw new EverbootFailure(
      'ConfigInvalid',
      `the namespace "${namespace}" lacks the search attributes ${missing.join(', ')}`,
      {
        remedy: `Have an administrator add them: ${missing.map((name) => `temporal operator search-attribute create --name ${name} --type Keyword`).join('; ')}`,
        cause: error,
      },
    );
  }
}
