import type { GlanceSettings } from '../../domain/configuration.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { type ImageDescription, type ImageFormat, type ImageReference, imageFormats } from '../../domain/image.ts';
import { statusFailure } from '../http/http-status.ts';
import { signatureCheck } from '../signatures/signature-check.ts';
import { imageSignature } from '../signatures/signature-properties.ts';
import { attemptRound } from './attempt-round.ts';
import { glanceImageAddress } from './glance-reference.ts';
import { type GlanceAccess, requestGlanceJson } from './glance-request.ts';
import { imageDigest } from './image-digest.ts';
import { imageProperties } from './image-properties.ts';
import { throwIfTooLarge } from './size-limit.ts';

/** Containers that hold the disk as it is. */
const plainContainers = new Set<unknown>(['bare', 'ami', 'aki', 'ari', null, undefined]);

/**
 * Asks Glance what it knows of an image, over its servers in rounds as Nova does.
 *
 * Throws ImageRefInvalid, HostUnsuitable, ImageNotFound, ImageForbidden, ImageNotActive, ImageUnacceptable,
 * ImageTooLarge, ImageUnverifiable, GlanceUnavailable when a whole round failed; and, where the host verifies
 * signatures, ImageSignatureInvalid for properties and a certificate that nothing could verify with.
 */
export async function describeGlanceImage(
  reference: Extract<ImageReference, { readonly glance: string }>,
  access: GlanceAccess,
  signal: AbortSignal,
): Promise<ImageDescription> {
  const { glance } = access;
  const { id, servers } = glanceImageAddress(reference.glance, access);
  const round = {
    places: servers,
    attempts: 1 + glance.numRetries,
    failure: 'GlanceUnavailable',
    lastErrors: new Map<string, string>(),
    signal,
  } as const;
  const record = await attemptRound(round, async (server) => {
    const { answer, json } = await requestGlanceJson(server, `/v2/images/${id}`, access, signal);
    if (json === undefined) throw statusFailure(answer, 'glance', `image ${id}`);
    if (json.id !== id && String(json.id).toLowerCase() !== id.toLowerCase()) {
      throw new EverbootFailure('SourceUnreachable', `${answer.address} answered with something that is not the image`);
    }
    return json;
  });
  const description = describeRecord(reference, id, record, glance);
  if (!glance.verifyGlanceSignatures) return description;
  const signature = imageSignature(`${id} (${description.title})`, record);
  // Before a byte is fetched: an image that nothing can verify costs no more than this.
  await signatureCheck({ signature }, glance);
  return { ...description, signature };
}

function describeRecord(
  reference: ImageReference,
  id: string,
  record: Readonly<Record<string, unknown>>,
  glance: GlanceSettings,
): ImageDescription {
  const name =
    typeof record.name === 'string'
      ? record.name
          .replace(/\p{Cc}/gu, ' ')
          .trim()
          .slice(0, 255)
      : '';
  const title = name === '' ? id : name;
  if (record.status !== 'active') {
    throw new EverbootFailure('ImageNotActive', `the image ${id} (${title}) is ${String(record.status).slice(0, 50)}`);
  }
  const digest = imageDigest(record.os_hash_algo, record.os_hash_value) ?? imageDigest('md5', record.checksum);
  if (digest === null && !glance.allowUnverified) {
    throw new EverbootFailure('ImageUnverifiable', `Glance has neither a hash nor a checksum of ${id} (${title})`);
  }
  const sizeBytes = count(record.size);
  throwIfTooLarge(`${id} (${title})`, sizeBytes, glance);
  return {
    reference,
    title,
    format: diskFormat(id, record),
    sizeBytes,
    digest,
    ...(typeof record.updated_at === 'string' ? { version: record.updated_at.slice(0, 100) } : {}),
    minDiskGb: count(record.min_disk) ?? 0,
    minRamMb: count(record.min_ram) ?? 0,
    properties: imageProperties(id, record),
  };
}

function diskFormat(id: string, record: Readonly<Record<string, unknown>>): ImageFormat {
  if (!plainContainers.has(record.container_format)) {
    const container = String(record.container_format).slice(0, 50);
    throw new EverbootFailure('ImageUnacceptable', `the image ${id} is packed in a container (${container})`);
  }
  const format = imageFormats.find((known) => known === record.disk_format);
  if (format === undefined) {
    const declared = String(record.disk_format).slice(0, 50);
    throw new EverbootFailure(
      'ImageUnacceptable',
      `the image ${id} has the disk format ${declared}, which is not known`,
    );
  }
  return format;
}

/** Null where Glance does not say: its schema allows that for nearly everything. */
function count(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null;
}
