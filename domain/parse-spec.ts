import { z } from 'zod';
import type { Flavor } from './flavors.ts';
import type { ImageReference } from './image.ts';
import { digestForms, imageReference } from './image-schema.ts';
import { dottedPlace, mistakes, problemLines } from './problems.ts';
import { secretFields } from './sealing.ts';
import type { InstanceSecrets, InstanceSpec, SealedSpec } from './spec.ts';
import { resolvedFlavor, sealedSpec, specDocument } from './spec-schema.ts';

/** No spec is larger as text; whoever reads one stops here. */
export const maxSpecBytes = 256 * 1024;

export interface ParsedSpec {
  readonly spec: InstanceSpec;
  /** In plain: they are sealed before they leave the client. */
  readonly secrets: InstanceSecrets;
}

export interface SpecRules {
  /** True: an address or a file may come without a digest. The host has the last word, `[glance] allow_unverified`. */
  readonly allowUnverified?: boolean;
}

/**
 * Reads a spec as its author wrote it, from JSON or YAML, and fills in every default but the host's. Throws SpecInvalid
 * with a line for every mistake; what is secret is never in it.
 */
export function parseSpec(document: unknown, { allowUnverified = false }: SpecRules = {}): ParsedSpec {
  const undigested = allowUnverified ? [] : missingDigests(document);
  const { userData, adminPassword, files, vendorData, ...open } = checked(specDocument, document, {
    first: [...undigested, ...contradictions(document)],
  });
  const secrets = {
    ...(userData !== undefined && { userData }),
    ...(adminPassword !== undefined && { adminPassword }),
    ...(files.length > 0 && { files }),
    ...(vendorData !== undefined && { vendorData }),
  };
  const { id = crypto.randomUUID(), hostname = open.name } = open;
  return { spec: { ...open, id, hostname }, secrets };
}

/**
 * Checks a spec that travelled, on the host: anyone who may start workflows can hand one in. Has the limits of
 * `parseSpec`, and fills nothing in. Throws SpecInvalid.
 */
export function parseSealedSpec(document: unknown): SealedSpec {
  return checked(sealedSpec, document);
}

/** Checks a flavor that travelled, as `parseSealedSpec` does with a spec. Throws SpecInvalid. */
export function parseFlavor(document: unknown): Flavor {
  return checked(resolvedFlavor, document);
}

/** Checks an image as a spec names it. Throws SpecInvalid. */
export function parseImageReference(document: unknown): ImageReference {
  return checked(imageReference, document, { what: 'the image' });
}

/** Addresses and files whose digest is not there; whatever else is wrong with them is the schema's to say. */
function missingDigests(document: unknown): string[] {
  return ['image', 'kernel', 'ramdisk'].flatMap((field) => {
    const image = (document as Record<string, unknown> | null | undefined)?.[field];
    if (typeof image !== 'object' || image === null || 'digest' in image) return [];
    const isPlaced = ('url' in image || 'file' in image) && !('glance' in image);
    return isPlaced ? [`${field}.digest: missing, expected ${digestForms}`] : [];
  });
}

/** Fields that rule each other out; what is wrong with each alone is the schema's to say. */
function contradictions(document: unknown): string[] {
  const { host, hosts, onFailure, holdFor } = (document ?? {}) as Record<string, unknown>;
  return [
    ...(host !== undefined && hosts !== undefined ? ['hosts: given beside host, expected one of the two'] : []),
    ...(holdFor !== undefined && onFailure !== 'hold' ? ['holdFor: given without onFailure: hold'] : []),
  ];
}

/** The JSON Schema of a spec's document. */
export function specJsonSchema(): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(specDocument, { io: 'input' });
}

const secretPlaces: ReadonlySet<PropertyKey> = new Set([...secretFields, 'secrets']);

function checked<Schema extends z.ZodType>(
  schema: Schema,
  document: unknown,
  { what = 'the spec', first = [] }: { readonly what?: string; readonly first?: readonly string[] } = {},
): z.output<Schema> {
  const { data, error } = schema.safeParse(document);
  if (error === undefined && first.length === 0) return data as z.output<Schema>;
  const found =
    error === undefined
      ? []
      : problemLines(error, document, {
          place: (path) => (path.length === 0 ? what : dottedPlace(path)),
          isSecret: ([field]) => field !== undefined && secretPlaces.has(field),
        });
  throw mistakes('SpecInvalid', what, [...first, ...found]);
}
