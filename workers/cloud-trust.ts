import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type CloudSearch, homeOf } from './cloud-files.ts';
import type { CloudOptions } from './cloud-options.ts';

const maxCertificatesBytes = 2 ** 20;

/**
 * The certificates that `cacert` names, in PEM; null where it names none, and where they are wrong, which is reported.
 */
export async function trustedCertificates(options: CloudOptions, search: CloudSearch): Promise<string | null> {
  const file = options.text('cacert');
  if (file === null) return null;
  const path = resolve(search.workingDirectory, file.replace(/^~(?=\/)/, homeOf(search.environment)));
  try {
    const { size } = await stat(path);
    if (size > maxCertificatesBytes) throw new Error('too large');
    const text = await readFile(path, 'utf8');
    const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    for (const certificate of found) new X509Certificate(certificate);
    if (found.length > 0) return found.join('\n');
  } catch {
    // Said below.
  }
  options.wrong('cacert', 'expected a file of certificates in PEM that can be read');
  return null;
}

/** Refuses options that would let somebody else in, or that the servers would refuse later. */
export function refuseUnsupported(options: CloudOptions): void {
  const isOneOf = (option: string, words: readonly string[]): boolean =>
    words.includes(String(options.value(option) ?? '').toLowerCase());
  if (isOneOf('verify', ['false', 'no', 'off', '0']) || isOneOf('insecure', ['true', 'yes', 'on', '1'])) {
    const option = options.value('verify') === undefined ? 'insecure' : 'verify';
    options.wrong(option, 'a server that is not verified gets no password; name its certificate in cacert');
  }
  for (const option of ['cert', 'key']) {
    if (options.text(option) !== null) options.wrong(option, 'certificates of clients are not supported');
  }
  const version = options.text('identity_api_version');
  if (version !== null && !/^v?3(\.\d+)?$/.test(version)) {
    options.wrong('identity_api_version', 'not supported, expected 3');
  }
}
