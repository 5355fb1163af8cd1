import { createHash } from 'node:crypto';
import { EverbootFailure, type FailureCode, failureKind, isFailureCode } from '../../domain/failures.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import type { BaseImageOrder } from '../../domain/image.ts';
import { publishNote } from '../files/host-notes.ts';
import { readStateFile, removeFile } from '../files/small-file.ts';

/** How long a refused image is not fetched again, unless it changed at its source. */
const rememberedForMs = 5 * 60_000;

interface Refusal {
  readonly code: FailureCode;
  readonly message: string;
  readonly image: string;
  readonly atMs: number;
}

/** Where the refusal of an image is kept. */
export function refusalPath(paths: HostPaths, cacheName: string): string {
  return `${paths.refusals}/${cacheName}.json`;
}

/**
 * Keeps the refusal of an image, so that fifty builds of it don't fetch it fifty times. Other failures are not kept.
 */
export async function rememberRefusal(paths: HostPaths, order: BaseImageOrder, error: unknown): Promise<void> {
  if (!(error instanceof EverbootFailure) || failureKind(error.code).imageRefused !== true) return;
  const refusal: Refusal = { code: error.code, message: error.message, image: identity(order), atMs: Date.now() };
  await publishNote(paths, refusalPath(paths, order.cacheName), JSON.stringify(refusal));
}

/** Throws the refusal again, if this very image was refused a short while ago. */
export async function throwIfRefused(paths: HostPaths, order: BaseImageOrder): Promise<void> {
  const refusal = (await readStateFile(refusalPath(paths, order.cacheName))) as Refusal | undefined;
  if (refusal === undefined) return;
  if (Date.now() - refusal.atMs > rememberedForMs) return await removeFile(refusalPath(paths, order.cacheName));
  if (refusal.image !== identity(order) || !isFailureCode(refusal.code)) return;
  throw new EverbootFailure(refusal.code, refusal.message);
}

/**
 * The identity of an image for which a refusal holds: the format it was declared to have, its version, size and digest,
 * and where it came from, so that a server with the wrong bytes is not held against another one with the right ones.
 * Its signature, too: an image that was refused by it may be taken where it is not asked for, and the other way round.
 */
function identity({ image }: BaseImageOrder): string {
  const { reference, format, version = null, sizeBytes, digest, signature = null } = image;
  const text = JSON.stringify([reference, format, version, sizeBytes, digest?.hex ?? null, signature]);
  return createHash('sha256').update(text).digest('hex');
}

/** Whether a remembered refusal counts no longer, or cannot be read. */
export async function refusalIsOver(path: string): Promise<boolean> {
  const refusal = (await readStateFile(path)) as Partial<Refusal> | null | undefined;
  return typeof refusal?.atMs !== 'number' || Date.now() - refusal.atMs > rememberedForMs;
}
