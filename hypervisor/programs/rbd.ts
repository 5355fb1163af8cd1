import type { Readable } from 'node:stream';
import type { RbdSnapshot } from '../../domain/disk-plan.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { timeForBytesMs } from '../process/time-for-bytes.ts';
import { type CephCluster, type CephRun, runCephProgram, silenceFailure } from './ceph.ts';

/** The numbers that `rbd` ends with. */
const absent = 2;
const busy = 16;
const taken = 17;
const invalid = 22;
const hasSnapshots = 39;

/** A pool has some ten thousand images; their names are this long together at most. */
const maxListBytes = 64 * 2 ** 20;

/** Every object of an image is removed by itself. */
const removalTimeoutMs = 60 * 60_000;

/** An image in a pool of one cluster. Names are given as options of their own, so that nothing in them is a path. */
export interface RbdImageName {
  readonly pool: string;
  readonly image: string;
}

/** The context of a call of `rbd`, besides its arguments. */
export interface RbdControl {
  readonly signal?: AbortSignal;
  readonly heldLocks?: readonly number[];
}

/** The virtual size of an image; undefined where there is none of that name. */
export async function rbdImageSize(
  cluster: CephCluster,
  name: RbdImageName,
  control: RbdControl,
): Promise<number | undefined> {
  const { errno, stdout } = await rbd(cluster, ['info', ...at(name), ...json], [absent], control);
  return errno === absent ? undefined : (JSON.parse(stdout) as { readonly size: number }).size;
}

/** The size of a snapshot that may be cloned, which a protected one may; undefined for any other, and where none is. */
export async function rbdCloneableSize(
  cluster: CephCluster,
  { snapshot, ...name }: RbdSnapshot,
  control: RbdControl,
): Promise<number | undefined> {
  const args = ['info', ...at(name), '--snap', snapshot, ...json];
  const { errno, stdout } = await rbd(cluster, args, [absent], control);
  if (errno === absent) return undefined;
  const info = JSON.parse(stdout) as { readonly size: number; readonly protected?: string };
  return info.protected === 'true' ? info.size : undefined;
}

/** The names of all images of a pool. */
export async function listRbdImages(
  cluster: CephCluster,
  pool: string,
  control: RbdControl,
): Promise<readonly string[]> {
  const args = ['ls', '--pool', pool, ...json];
  const { stdout } = await rbd(cluster, args, [], { ...control, maxOutputBytes: maxListBytes });
  return JSON.parse(stdout) as readonly string[];
}

/** Makes an empty image. */
export async function createRbdImage(
  cluster: CephCluster,
  name: RbdImageName,
  sizeBytes: number,
  control: RbdControl,
): Promise<void> {
  await rbd(cluster, ['create', ...at(name), '--size', `${sizeBytes}B`], [], control);
}

/**
 * Writes a stream of `sizeBytes` in Ceph's own format of differences (`rbd diff v1`) into an image. Where an OSD is
 * dead it takes nothing more and does not end: the caller ends it. With a limit on each wait it would continue through
 * the whole stream, failing for each piece again.
 */
export async function importRbdDiff(
  cluster: CephCluster,
  name: RbdImageName,
  { input, sizeBytes }: { readonly input: Readable; readonly sizeBytes: number },
  control: RbdControl,
): Promise<void> {
  const options = { ...control, input, timeoutMs: timeForBytesMs(sizeBytes), waitsForOsds: true };
  await rbd(cluster, ['import-diff', '--no-progress', '--path', '-', ...at(name)], [], options);
}

/** Makes a copy-on-write clone. False: there is no such snapshot, or it may not be cloned (any more). */
export async function cloneRbdSnapshot(
  cluster: CephCluster,
  { snapshot, ...parent }: RbdSnapshot,
  child: RbdImageName,
  control: RbdControl,
): Promise<boolean> {
  const args = ['clone', ...at(parent), '--snap', snapshot, '--dest-pool', child.pool, '--dest', child.image];
  return (await rbd(cluster, args, [absent, invalid], control)).errno === 0;
}

/** Makes an image larger; `rbd` refuses to make it smaller. */
export async function growRbdImage(
  cluster: CephCluster,
  name: RbdImageName,
  sizeBytes: number,
  control: RbdControl,
): Promise<void> {
  await rbd(cluster, ['resize', '--no-progress', ...at(name), '--size', `${sizeBytes}B`], [], control);
}

/** Gives an image another name in its pool. False: that name is taken. */
export async function renameRbdImage(
  cluster: CephCluster,
  { pool, image }: RbdImageName,
  newName: string,
  control: RbdControl,
): Promise<boolean> {
  const args = ['rename', ...at({ pool, image }), '--dest-pool', pool, '--dest', newName];
  return (await rbd(cluster, args, [taken], control)).errno === 0;
}

/** Takes a snapshot, and protects it from removal, as one must be that is cloned. */
export async function protectRbdImage(
  cluster: CephCluster,
  { snapshot, ...name }: RbdSnapshot,
  control: RbdControl,
): Promise<void> {
  const place = [...at(name), '--snap', snapshot];
  await rbd(cluster, ['snap', 'create', '--no-progress', ...place], [], control);
  await rbd(cluster, ['snap', 'protect', ...place], [], control);
}

/** Removes a snapshot, protected or not. Absence is success. Throws StorageUnavailable while it has clones. */
export async function removeRbdSnapshot(
  cluster: CephCluster,
  { snapshot, ...name }: RbdSnapshot,
  control: RbdControl,
): Promise<void> {
  const place = [...at(name), '--snap', snapshot];
  const unprotected = await rbd(cluster, ['snap', 'unprotect', ...place], [absent, invalid, busy], control);
  if (unprotected.errno === busy) {
    throw new EverbootFailure('StorageUnavailable', `${nameText(name)}@${snapshot} has clones`);
  }
  await rbd(cluster, ['snap', 'rm', '--no-progress', ...place], [absent], control);
}

/**
 * Removes an image. Absence is success. A client that was killed holds its image for another half minute: `rbd` waits
 * for one that was writing, and soon answers for one that had only opened it. Throws StorageUnavailable in that case,
 * where somebody has the image open, and where somebody has made snapshots of it.
 */
export async function removeRbdImage(cluster: CephCluster, name: RbdImageName, control: RbdControl): Promise<void> {
  const options = { ...control, timeoutMs: removalTimeoutMs };
  const { errno } = await rbd(cluster, ['rm', '--no-progress', ...at(name)], [absent, busy, hasSnapshots], options);
  if (errno === busy) throw heldFailure(name, 'is still open somewhere', 'rbd status');
  if (errno === hasSnapshots) throw heldFailure(name, 'has snapshots that everboot did not make', 'rbd snap ls');
  // A cluster without room cannot even note what it is to remove, and then says of an image that is there that it is not.
  if (errno === absent && (await rbdImageSize(cluster, name, control)) !== undefined) {
    throw await silenceFailure(cluster, `${nameText(name)} could not be removed`);
  }
}

/** Notes a text under a key at an image. */
export async function setRbdMeta(
  cluster: CephCluster,
  name: RbdImageName,
  key: string,
  value: string,
  control: RbdControl,
): Promise<void> {
  await rbd(cluster, ['image-meta', 'set', ...at(name), key, value], [], control);
}

/** The text under a key; undefined where there is none, or no such image. */
export async function rbdMeta(
  cluster: CephCluster,
  name: RbdImageName,
  key: string,
  control: RbdControl,
): Promise<string | undefined> {
  const { errno, stdout } = await rbd(cluster, ['image-meta', 'get', ...at(name), key], [absent], control);
  return errno === absent ? undefined : stdout.trim();
}

const json = ['--format', 'json'];

function at({ pool, image }: RbdImageName): string[] {
  return ['--pool', pool, '--image', image];
}

function nameText({ pool, image }: RbdImageName): string {
  return `${pool}/${image}`;
}

function heldFailure(name: RbdImageName, how: string, command: string): EverbootFailure {
  return new EverbootFailure('StorageUnavailable', `the image ${nameText(name)} cannot be removed: it ${how}`, {
    remedy: `See \`${command} ${nameText(name)}\`; the step is tried again.`,
  });
}

function rbd(cluster: CephCluster, args: readonly string[], expected: readonly number[], options: Partial<CephRun>) {
  return runCephProgram('rbd', cluster, args, expected, { timeoutMs: timeForBytesMs(0), ...options });
}
