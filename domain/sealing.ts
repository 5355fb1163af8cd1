import { z } from 'zod';
import { absolutePath, anyObject, text } from './checked-values.ts';
import type { InstanceSecrets } from './spec.ts';

/**
 * How a secret travels: a compact JWE (RFC 7516) for a P-256 key of the hosts. ECDH-ES with A256GCM is what the JOSE
 * libraries of every language have. The header's `kid` is the key's RFC 7638 thumbprint.
 */
export const sealingAlgorithms = { alg: 'ECDH-ES', enc: 'A256GCM' } as const;

export type SecretField = keyof InstanceSecrets;
export const secretFields = [
  'userData',
  'adminPassword',
  'files',
  'vendorData',
] as const satisfies readonly SecretField[];

/** Both limits count the bytes themselves, not their base64; `maxFilesBytes` is for all files of a spec together. */
export const maxUserDataBytes = 64 * 1024;
export const maxFilesBytes = 64 * 1024;

/** Counts the bytes of the object's JSON. */
export const maxVendorDataBytes = 64 * 1024;

/** The longest sealed value a host opens: 64 KiB that were encoded in base64 twice, and room for the files' paths. */
export const maxSealedLength = 256 * 1024;

/**
 * The plain text of a sealed value, as JSON. The instance's id and the field's name are inside, so that a sealed value
 * that was seen in one history is of no use in another instance's spec, or in another field of the same one.
 */
export interface SealedPayload {
  readonly instanceId: string;
  readonly field: SecretField;
  readonly value: unknown;
}

const base64 = (maxBytes: number) =>
  z
    .base64()
    .max(Math.ceil(maxBytes / 3) * 4)
    .refine((text) => decodedBytes(text) <= maxBytes);

/** The rules of single values, the same where a spec is parsed and where a host opens what anybody may have sealed. */
export const adminPassword = text('a text of 1 to 255 characters, no control characters', {
  minLength: 1,
  maxLength: 255,
});
export const filePath = absolutePath('a file in the guest', 255);
/** An octal number is a text, since YAML reads 0644 as six hundred and forty-four. */
export const fileMode = text('octal digits as a text, such as "0644"', { maxLength: 4, pattern: /^[0-7]{3,4}$/ });

const injectedFile = z.strictObject({
  path: filePath,
  base64: base64(maxFilesBytes),
  mode: fileMode.exactOptional(),
});

const secretValues = {
  userData: base64(maxUserDataBytes),
  adminPassword,
  files: z
    .array(injectedFile)
    .refine((files) => files.reduce((sum, file) => sum + decodedBytes(file.base64), 0) <= maxFilesBytes),
  vendorData: anyObject(maxVendorDataBytes),
} satisfies Record<SecretField, z.ZodType>;

/** Whether an opened value is one that this field of a spec may have. Says no more: the value is secret. */
export function isSecretValue(field: SecretField, value: unknown): boolean {
  return secretValues[field].safeParse(value).success;
}

function decodedBytes(text: string): number {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  return (text.length / 4) * 3 - padding;
}
