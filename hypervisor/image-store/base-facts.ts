import { stat } from 'node:fs/promises';
import { EverbootFailure } from '../../domain/failures.ts';
import type { HostPaths } from '../../domain/host-paths.ts';
import type { BaseImage, BaseImageOrder } from '../../domain/image.ts';
import { publishNote } from '../files/host-notes.ts';
import { readStateFile, removeFile } from '../files/small-file.ts';
import { inspectImageFile } from '../image-inspector/inspect-image-file.ts';

/**
 * The facts of a cached file. They are written, and synced, when the file is whole but does not have its final name
 * yet, so they are also the proof that the temporary file may be published.
 */
export interface BaseFacts {
  readonly version: 1;
  readonly kind: 'image';
  readonly cacheName: string;
  /** Which temporary file becomes the base: the download itself, or what it was converted into. */
  readonly from: 'part' | 'converted';
  readonly format: 'raw' | 'qcow2';
  readonly virtualSizeBytes: number;
  /** Of the temporary file, as it was verified. */
  readonly fileSizeBytes: number;
  /** The digest of the downloaded bytes, `algorithm:hex`; null where nothing was promised. */
  readonly digest: string | null;
  readonly title: string;
  /** See `ImageDescription.version`. */
  readonly imageVersion: string | null;
  /** The certificate by which the image's signature verified; null where none was checked. */
  readonly signedBy: string | null;
  /** How to fetch the very same image again; null where an earlier release did not note it. */
  readonly order: BaseImageOrder | null;
}

/** The mark of a formatted blank disk in the cache: that everboot made it. */
interface BlankMark {
  readonly version: 1;
  readonly kind: 'blank';
  readonly cacheName: string;
}

/** The mark that says everboot made a cached file. A file without one is foreign. */
export type BaseMark = BaseFacts | BlankMark;

/** Where what is known of a cached file is kept. */
export function factsPath(paths: HostPaths, cacheName: string): string {
  return `${paths.bases}/${cacheName}.json`;
}

export async function readMark(paths: HostPaths, cacheName: string): Promise<BaseMark | undefined> {
  const kept = (await readStateFile(factsPath(paths, cacheName))) as Partial<BaseFacts> | BlankMark | null | undefined;
  if (kept?.version !== 1) return undefined;
  // The first release had images only, and did not say so.
  return kept.kind === 'blank' ? kept : ({ order: null, signedBy: null, ...kept, kind: 'image' } as BaseFacts);
}

export async function readFacts(paths: HostPaths, cacheName: string): Promise<BaseFacts | undefined> {
  const mark = await readMark(paths, cacheName);
  return mark?.kind === 'image' ? mark : undefined;
}

/** Notes that everboot makes the blank disk of that name. Written before the disk gets its name. */
export async function writeBlankMark(paths: HostPaths, cacheName: string): Promise<void> {
  const mark: BlankMark = { version: 1, kind: 'blank', cacheName };
  await publishNote(paths, factsPath(paths, cacheName), `${JSON.stringify(mark)}\n`);
}

/** Notes that a temporary file is whole, verified and on disk. */
export async function writeFacts(
  paths: HostPaths,
  order: BaseImageOrder,
  found: Pick<BaseFacts, 'from' | 'format' | 'virtualSizeBytes' | 'fileSizeBytes'>,
): Promise<void> {
  const { cacheName, image } = order;
  const facts: BaseFacts = {
    version: 1,
    kind: 'image',
    cacheName,
    ...found,
    digest: image.digest === null ? null : `${image.digest.algorithm}:${image.digest.hex}`,
    title: image.title,
    imageVersion: image.version ?? null,
    signedBy: image.signature?.certificateId ?? null,
    order,
  };
  await publishNote(paths, factsPath(paths, cacheName), `${JSON.stringify(facts)}\n`);
}

export async function removeFacts(paths: HostPaths, cacheName: string): Promise<void> {
  await removeFile(factsPath(paths, cacheName));
}

/** The cached file of that name, if it is there; undefined if not. */
export async function findBase(paths: HostPaths, cacheName: string): Promise<BaseImage | undefined> {
  const path = `${paths.cache}/${cacheName}`;
  const size = await stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
  if (size === undefined) return undefined;
  const facts = await readFacts(paths, cacheName);
  if (facts !== undefined) {
    return { cacheName, path, format: facts.format, virtualSizeBytes: facts.virtualSizeBytes };
  }
  return await judgeForeignBase(cacheName, path, size);
}

/** Nova may have put this file here: it is used as it is, after the same judgement as a fresh one. */
async function judgeForeignBase(cacheName: string, path: string, sizeBytes: number): Promise<BaseImage> {
  const inspection = await inspectImageFile(path, null, { maxVirtualSizeBytes: Number.MAX_SAFE_INTEGER });
  if (inspection.verdict === 'refused') {
    throw new EverbootFailure(
      'ImageUnacceptable',
      `the cached image ${path} is refused: ${inspection.reasons.join('; ')}`,
      {
        remedy: 'Remove that file from the cache, so that the image is fetched again.',
      },
    );
  }
  const isQcow2 = inspection.detectedFormat === 'qcow2';
  return {
    cacheName,
    path,
    format: isQcow2 ? 'qcow2' : 'raw',
    virtualSizeBytes: isQcow2 ? (inspection.virtualSizeBytes ?? sizeBytes) : sizeBytes,
  };
}
