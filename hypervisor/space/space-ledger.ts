import { stat, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Claim, claimName } from '../../domain/claim.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import { spaceText } from '../../domain/sizes.ts';
import { publishNote } from '../files/host-notes.ts';
import { finalNameOf } from '../files/publish-file.ts';
import { listFolder, readStateFile, removeFile } from '../files/small-file.ts';
import { lockKeys } from '../locks/lock-keys.ts';
import { withLock } from '../locks/with-lock.ts';

/**
 * Space that was promised to running steps and is not written yet. Without it, fifty builds that ask at once would all
 * be promised the same free gigabytes.
 */
interface SpacePromise {
  readonly bytes: number;
  /** The file that is written: what it occupies already counts against the promise. */
  readonly path: string;
}

export interface SpaceRequest extends SpacePromise {
  readonly claim: Claim;
  /** Distinguishes the promises of one operation: the name of the step and of what it writes. */
  readonly purpose: string;
  /** Space that stays free whatever is asked for. */
  readonly reservedBytes: number;
}

/**
 * Promises space for what a step is about to write, or throws InsufficientSpace with the numbers. Asking again for the
 * same claim and purpose replaces the promise before.
 */
export async function promiseSpace(paths: HostPaths, request: SpaceRequest): Promise<void> {
  const whenBusy = (): never => {
    throw new EverbootFailure('HostIoError', 'the space ledger has been locked for 10 s');
  };
  await withLock(paths, lockKeys.ledger, { waitMs: 10_000, whenBusy }, async () => {
    const ownName = promiseFileName(request.claim, request.purpose);
    const promisedBytes = await sumOfOthers(paths, ownName);
    const { bavail, bsize } = await statfs(paths.instances);
    const neededBytes = await outstandingBytes(request);
    const freeBytes = bavail * bsize - promisedBytes - request.reservedBytes;
    if (neededBytes > freeBytes) throw spaceFailure(paths, request, { neededBytes, promisedBytes, freeBytes });
    const promise: SpacePromise = { bytes: request.bytes, path: request.path };
    await publishNote(paths, `${paths.ledger}/${ownName}`, JSON.stringify(promise), 0o600);
  });
}

/** Gives back one promise, or with no purpose all promises of an operation. Absence is success. */
export async function returnSpace(paths: HostPaths, claim: Claim, purpose?: string): Promise<void> {
  if (purpose !== undefined) {
    await removeFile(`${paths.ledger}/${promiseFileName(claim, purpose)}`);
    return;
  }
  for (const name of await listFolder(paths.ledger)) {
    if (name.startsWith(`${claimName(claim)}.`)) await removeFile(`${paths.ledger}/${name}`);
  }
}

/** Gives back the promises of all operations on an instance, but for one that is at work. */
export async function returnSpaceOfInstance(paths: HostPaths, instanceId: string, atWork?: Claim): Promise<void> {
  for (const name of await listFolder(paths.ledger)) {
    if (atWork !== undefined && name.startsWith(`${claimName(atWork)}.`)) continue;
    if (name.startsWith(`${instanceId}~`)) await removeFile(`${paths.ledger}/${name}`);
  }
}

/** Whose promises there are, a `claimName` for each. */
export async function promisesByClaim(paths: HostPaths): Promise<string[]> {
  const names = (await listFolder(paths.ledger)).filter((name) => name.endsWith('.json'));
  return names.map((name) => name.slice(0, name.indexOf('.')));
}

function promiseFileName(claim: Claim, purpose: string): string {
  return `${claimName(claim)}.${purpose}.json`;
}

async function sumOfOthers(paths: HostPaths, ownName: string): Promise<number> {
  let sum = 0;
  for (const name of await listFolder(paths.ledger)) {
    if (name === ownName || !name.endsWith('.json')) continue;
    const promise = (await readStateFile(`${paths.ledger}/${name}`)) as SpacePromise | undefined;
    if (promise !== undefined) sum += await outstandingBytes(promise);
  }
  return sum;
}

/** The part of a promise that is not written yet. A disk has a temporary name until it is whole. */
async function outstandingBytes({ bytes, path }: SpacePromise): Promise<number> {
  let writtenBytes = 0;
  for (const name of await listFolder(dirname(path))) {
    if ((finalNameOf(name) ?? name) !== basename(path)) continue;
    writtenBytes += await stat(join(dirname(path), name)).then(
      ({ blocks }) => blocks * 512,
      () => 0,
    );
  }
  return Math.max(bytes - writtenBytes, 0);
}

function spaceFailure(
  paths: HostPaths,
  { purpose, reservedBytes }: SpaceRequest,
  bytes: { readonly neededBytes: number; readonly promisedBytes: number; readonly freeBytes: number },
): EverbootFailure {
  return new EverbootFailure(
    'InsufficientSpace',
    `${purposeText(purpose)} needs ${spaceText(bytes.neededBytes)} in ${paths.instances}, where ` +
      `${spaceText(bytes.freeBytes)} may be used (${spaceText(bytes.promisedBytes)} are promised to other steps, ` +
      `${spaceText(reservedBytes)} are kept free by reserved_disk_mb)`,
  );
}

/** The purpose of a promise, for people: an image's name in the cache means nothing to them. */
function purposeText(purpose: string): string {
  if (purpose.startsWith('download-')) return 'the download of the image';
  if (purpose.startsWith('convert-')) return 'the conversion of the image';
  return purpose.startsWith('disk-') ? `the disk "${purpose.slice('disk-'.length)}"` : purpose;
}
