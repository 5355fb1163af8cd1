import type { LibvirtSettings } from '../../domain/configuration.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { isFailedProgram } from '../process/program-failure.ts';
import { type ProgramOptions, runProgram } from '../process/run-program.ts';
import { ownWords, saysNoAccess, saysSilence } from './ceph-words.ts';

/** A host's way to its Ceph. */
export interface CephCluster {
  /** Null: Ceph's own search for it, `/etc/ceph/ceph.conf`. */
  readonly conf: string | null;
  /** Without `client.`; null: Ceph's own, `admin`. Its key is where the configuration says. */
  readonly user: string | null;
  /** For how long a monitor is waited for. */
  readonly connectTimeoutSeconds: number;
}

export function cephCluster({
  imagesRbdCephConf,
  rbdUser,
  rbdConnectTimeout,
}: Pick<LibvirtSettings, 'imagesRbdCephConf' | 'rbdUser' | 'rbdConnectTimeout'>): CephCluster {
  return { conf: imagesRbdCephConf, user: rbdUser, connectTimeoutSeconds: rbdConnectTimeout };
}

/**
 * An OSD is waited for this many times as long as a monitor: where one died the cluster takes some 20 seconds to see it
 * and to have another one answer in its place.
 */
const osdPatience = 6;

/** For how long one answer of an OSD is waited for, in seconds. */
export function osdTimeoutSeconds({ connectTimeoutSeconds }: CephCluster): number {
  return connectTimeoutSeconds * osdPatience;
}

/** The limits of a program that only moves bytes, with a dozen threads. */
const cephLimits = { memoryBytes: 4 * 2 ** 30 };

/** Log lines, which come in their own time, would push a program's own words out of the last that are kept of it. */
const quiet = ['--log-to-stderr=false', '--err-to-stderr=false'];

/** Ends the sentence of a failure that an operator mends in the host's configuration. */
const accessRemedy =
  'Check [libvirt] images_rbd_pool, images_rbd_ceph_conf and rbd_user, the user’s key and its rights.';

export type CephRun = Pick<ProgramOptions, 'heldLocks' | 'input' | 'maxOutputBytes'> & {
  readonly signal?: AbortSignal;
  readonly timeoutMs: number;
  /** True: an OSD is waited for until the caller, who watches the progress, ends the program. */
  readonly waitsForOsds?: boolean;
};

export interface CephAnswer {
  /** 0, or the number of one of the errors that were expected. */
  readonly errno: number;
  readonly stdout: string;
}

/**
 * Runs a program of Ceph's that ends with the number of an error: `rbd`. Without the limits on each wait a dead OSD
 * would be waited for until the program's whole time is over. An error in `expected` is an answer.
 *
 * Throws StorageUnavailable (no answer in time), InsufficientSpace (the cluster is full), HostUnsuitable (the cluster,
 * the pool or the right to use it is missing), ProgramFailed with the program's words.
 */
export async function runCephProgram(
  program: 'rbd',
  cluster: CephCluster,
  args: readonly string[],
  expected: readonly number[],
  { waitsForOsds = false, ...options }: CephRun,
): Promise<CephAnswer> {
  const waits = [
    `--client-mount-timeout=${cluster.connectTimeoutSeconds}`,
    `--rados-mon-op-timeout=${cluster.connectTimeoutSeconds}`,
    `--rados-osd-op-timeout=${waitsForOsds ? 0 : osdTimeoutSeconds(cluster)}`,
  ];
  try {
    const { stdout } = await runProgram(program, [...accessArgs(cluster), ...quiet, ...waits, ...args], {
      ...options,
      limits: cephLimits,
    });
    return { errno: 0, stdout };
  } catch (error) {
    const { errno, words } = refusalIn(error) ?? {};
    if (errno === undefined || words === undefined) throw error;
    const failure = accessFailure(cluster, words);
    if (failure !== undefined) throw failure;
    if (expected.includes(errno)) return { errno, stdout: '' };
    if (errno === 110) throw await silenceFailure(cluster, words);
    if (errno === 122)
      throw new EverbootFailure('InsufficientSpace', `the pool’s quota is used up: ${ownWords(words)}`);
    throw new EverbootFailure('ProgramFailed', `${program} ended with error ${errno}: ${ownWords(words)}`);
  }
}

/** The id of the cluster. Throws StorageUnavailable, HostUnsuitable. */
export async function cephFsid(cluster: CephCluster, signal: AbortSignal): Promise<string> {
  const { fsid } = (await askCeph(cluster, ['fsid'], signal)) as { readonly fsid?: unknown };
  if (typeof fsid === 'string') return fsid;
  throw new EverbootFailure('ProgramFailed', 'ceph does not print the id of its cluster');
}

/** Asks the monitors with `ceph`, which is a script, and knows no errors but 1. */
async function askCeph(cluster: CephCluster, args: readonly string[], signal?: AbortSignal): Promise<object> {
  const { connectTimeoutSeconds } = cluster;
  const waits = ['--connect-timeout', String(connectTimeoutSeconds), `--rados-mon-op-timeout=${connectTimeoutSeconds}`];
  const timeoutMs = 60_000 + connectTimeoutSeconds * 1000;
  try {
    const { stdout } = await runProgram('ceph', [...accessArgs(cluster), ...waits, '--format', 'json', ...args], {
      ...(signal && { signal }),
      timeoutMs,
      limits: cephLimits,
    });
    return JSON.parse(stdout) as object;
  } catch (error) {
    const { words } = refusalIn(error) ?? {};
    if (words === undefined) throw error;
    throw saysSilence(words)
      ? new EverbootFailure('StorageUnavailable', `Ceph’s monitors do not answer: ${ownWords(words)}`)
      : new EverbootFailure('HostUnsuitable', `Ceph cannot be asked: ${ownWords(words)}`, { remedy: accessRemedy });
  }
}

function accessArgs({ conf, user }: CephCluster): string[] {
  return [...(conf === null ? [] : ['--conf', conf]), ...(user === null ? [] : ['--id', user])];
}

interface CephRefusal {
  readonly errno: number;
  readonly words: string;
}

/** The end of a program that ended by itself; undefined for any other error. */
function refusalIn(error: unknown): CephRefusal | undefined {
  if (!isFailedProgram(error)) return undefined;
  const { exitCode, stderrTail, cut } = error.program;
  if (exitCode === null || cut !== null) return undefined;
  return { errno: exitCode, words: stderrTail === '' ? 'it said nothing' : stderrTail };
}

/** The failure for a cluster that refuses the host, which looks like an absent image by its number alone. */
function accessFailure({ conf, user }: CephCluster, words: string): EverbootFailure | undefined {
  if (!saysNoAccess(words)) return undefined;
  const who = `${user === null ? 'Ceph’s own user' : `the user ${user}`} with ${conf ?? 'Ceph’s own configuration'}`;
  return new EverbootFailure('HostUnsuitable', `${who} cannot use the cluster or the pool: ${ownWords(words)}`, {
    remedy: accessRemedy,
  });
}

/**
 * The failure for a cluster that does not answer: InsufficientSpace if it is full, since it then does not refuse a
 * write but holds it until there is room again; else StorageUnavailable.
 */
export async function silenceFailure(cluster: CephCluster, words: string): Promise<EverbootFailure> {
  const full = await fullness(cluster).catch(() => null);
  if (full !== null) return new EverbootFailure('InsufficientSpace', `the Ceph cluster is full (${full})`);
  return new EverbootFailure('StorageUnavailable', `the Ceph cluster does not answer: ${ownWords(words)}`);
}

/** Ceph's words for what is full; null where nothing is. */
async function fullness(cluster: CephCluster): Promise<string | null> {
  type Checks = Readonly<Record<string, { readonly summary: { readonly message: string } }>>;
  const { checks = {} } = (await askCeph(cluster, ['health'])) as { readonly checks?: Checks };
  const full = ['OSD_FULL', 'POOL_FULL'].flatMap((check) => checks[check]?.summary.message ?? []);
  return full.length === 0 ? null : full.join(', ');
}
