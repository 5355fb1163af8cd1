import { join } from 'node:path';
import type { ClientConfigProfile } from '@temporalio/envconfig';
import type { TemporalTarget } from '../client/connect-client.ts';
import { EverbootFailure } from '../domain/failures.ts';
import { type UpFile, upFileName } from '../domain/up-file.ts';
import { readStateFile } from '../hypervisor/files/small-file.ts';
import type { Settings } from './settings.ts';

const defaultAddress = '127.0.0.1:7233';

/** Temporal as it was found, and by what. */
export interface FoundTemporal extends TemporalTarget {
  readonly foundBy: 'configuration' | 'up' | 'default';
}

/**
 * Finds Temporal: by `[temporal]` and what Temporal’s own tools go by (`TEMPORAL_*`, the profiles’ file), then by a
 * running `up` of the same state folder, then on this machine. Throws ConfigInvalid for a profile that cannot be read.
 */
export async function findTemporal(settings: Settings): Promise<FoundTemporal> {
  const { temporal } = settings.configuration;
  const { toClientOptions } = await import('@temporalio/envconfig');
  const { connectionOptions, namespace } = toClientOptions(await loadProfile(settings));
  const { apiKey, tls, metadata } = connectionOptions;
  const access = {
    ...(typeof apiKey === 'string' ? { apiKey } : {}),
    ...(tls === undefined || tls === null ? {} : { tls }),
    ...(metadata === undefined ? {} : { metadata }),
  };
  // The configuration’s default namespace is Temporal’s own, so it says nothing where a profile names another one.
  const named = temporal.namespace !== 'default' ? temporal.namespace : (namespace ?? 'default');
  const address = temporal.address ?? connectionOptions.address;
  if (address !== undefined) return { address, namespace: named, ...access, foundBy: 'configuration' };
  const up = await runningUp(settings.stateDirectory);
  if (up !== null) return { address: up.temporal, namespace: up.namespace, foundBy: 'up' };
  return { address: defaultAddress, namespace: named, ...access, foundBy: 'default' };
}

async function loadProfile({ configuration, environment }: Settings): Promise<ClientConfigProfile> {
  const { loadClientConfigProfile } = await import('@temporalio/envconfig');
  const { profile } = configuration.temporal;
  const variables = Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined);
  try {
    return loadClientConfigProfile({
      ...(profile === null ? {} : { profile }),
      overrideEnvVars: Object.fromEntries(variables),
    });
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    throw new EverbootFailure(
      'ConfigInvalid',
      `the Temporal profile${profile === null ? '' : ` "${profile}"`}: ${words}`,
      {
        remedy: 'Correct [temporal] profile, or the file of Temporal’s profiles.',
      },
    );
  }
}

/** The `up` that runs with this state folder; null when there is none, or only what a killed one left. */
export async function runningUp(stateDirectory: string): Promise<UpFile | null> {
  const up = (await readStateFile(join(stateDirectory, upFileName)).catch(() => undefined)) as UpFile | undefined;
  if (typeof up?.temporal !== 'string' || typeof up.pid !== 'number' || typeof up.namespace !== 'string') return null;
  return isAlive(up.pid) ? up : null;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // It is there, and somebody else’s.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
