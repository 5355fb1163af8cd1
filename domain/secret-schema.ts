import { z } from 'zod';
import { anyObject, list, record, text } from './checked-values.ts';
import {
  adminPassword,
  fileMode,
  filePath,
  maxFilesBytes,
  maxSealedLength,
  maxUserDataBytes,
  maxVendorDataBytes,
} from './sealing.ts';
import type { InjectedFile } from './spec.ts';

const kibibyte = 1024;

/** Text or bytes, as base64. The words never hold the value. */
function bytes(maxBytes: number) {
  const expected = `text of at most ${maxBytes / kibibyte} KiB`;
  const fits = (base64: string): boolean => decodedBytes(base64) <= maxBytes;
  const encoded = `base64 of at most ${maxBytes / kibibyte} KiB, without line ends`;
  return {
    text: z.string(expected).max(maxBytes, expected).transform(base64OfText).refine(fits, expected),
    base64: z
      .string(encoded)
      .max(Math.ceil(maxBytes / 3) * 4, encoded)
      .regex(z.regexes.base64, encoded)
      .refine(fits, encoded),
  };
}

const userData = bytes(maxUserDataBytes);
const content = bytes(maxFilesBytes);

const mode = fileMode.exactOptional();
const path = filePath;

const writtenFile = z.union(
  [record({ path, content: content.text, mode }), record({ path, base64: content.base64, mode })],
  '{path, content, mode} or {path, base64, mode}',
);

function injectedFile(written: z.output<typeof writtenFile>): InjectedFile {
  if (!('content' in written)) return written;
  const { content: base64, ...file } = written;
  return { ...file, base64 };
}

/** The secret fields of a spec as its author writes them; parsed, they are what is sealed. */
export const secretValues = {
  userData: z
    .union(
      [userData.text, record({ base64: userData.base64 }).transform(({ base64 }) => base64)],
      `text or {base64} of at most ${maxUserDataBytes / kibibyte} KiB`,
    )
    .describe('User data for cloud-init: text, or bytes as `{base64}`; at most 64 KiB.'),
  adminPassword: adminPassword.describe('The administrator’s password, for the guest’s metadata.'),
  files: list(writtenFile, 100, 'files')
    .transform((files) => files.map(injectedFile))
    .refine(
      (files) => files.reduce((sum, { base64 }) => sum + decodedBytes(base64), 0) <= maxFilesBytes,
      `files of at most ${maxFilesBytes / kibibyte} KiB together`,
    )
    .describe('Files for the guest: `{path, content, mode?}` or `{path, base64, mode?}`; at most 64 KiB together.'),
  vendorData: anyObject(maxVendorDataBytes).describe(
    'What the guest finds in vendor_data.json: an object of at most 64 KiB as JSON.',
  ),
};

const sealed = record({
  sealed: text('a compact JWE', {
    maxLength: maxSealedLength,
    // Five parts; the second is empty where the key is agreed on directly.
    pattern: /^[\w-]+\.[\w-]*\.[\w-]+\.[\w-]+\.[\w-]+$/,
  }),
});

/** The secret fields as they travel. */
export const sealedSecrets = record({
  userData: sealed.exactOptional(),
  adminPassword: sealed.exactOptional(),
  files: sealed.exactOptional(),
  vendorData: sealed.exactOptional(),
});

function base64OfText(value: string): string {
  return btoa(Array.from(new TextEncoder().encode(value), (byte) => String.fromCharCode(byte)).join(''));
}

function decodedBytes(base64: string): number {
  return (base64.length / 4) * 3 - (base64.endsWith('==') ? 2 : base64.endsWith('=') ? 1 : 0);
}
