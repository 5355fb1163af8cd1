import { z } from 'zod';
import type { Flavor } from './flavors.ts';
import type { ImageReference } from './image.ts';
import { imageReference } from './image-schema.ts';
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

/**
 * Reads a spec as its author wrote it, from JSON or YAML, and fills in every default but the host's. Throws SpecInvalid
 * with a line for every mistake; what is secret is never in it.
 */
export function parseSpec(document: unknown): ParsedSpec {
  const { userData, adminPassword, files, ...open } = checked(specDocument, document);
  const secrets = {
    ...(userData !== undefined && { userData }),
    ...(adminPassword !== undefined && { adminPassword }),
    ...(files.length > 0 && { files }),
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
  return checked(imageReference, document, 'the image');
}

/** The JSON Schema of a spec's document. */
export function specJsonSchema(): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(specDocument, { io: 'input' });
}

const secretPlaces: ReadonlySet<PropertyKey> = new Set([...secretFields, 'secrets']);

function checked<Schema extends z.ZodType>(schema: Schema, document: unknown, what = 'the spec'): z.output<Schema> {
  const { data, error } = schema.safeParse(document);
  if (error === undefined) return data as z.output<Schema>;
  const lines = problemLines(error, document, {
    place: (path) => (path.length === 0 ? what : dottedPlace(path)),
    isSecret: ([field]) => field !== undefined && secretPlaces.has(field),
  });
  throw mistakes('SpecInvalid', what, lines);
}
