import { X509Certificate } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { EverbootFailure } from '../../domain/failures.ts';

/** A certificate has a few KiB; chains and texts around it may make it longer. */
const maxCertificateBytes = 64 * 1024;

/** The reason why nothing in the folder of the trusted certificates may be trusted; undefined where there is none. */
export async function trustFolderProblem(folder: string): Promise<string | undefined> {
  const found = await stat(folder).catch((error: NodeJS.ErrnoException) => error.code ?? error.message);
  if (typeof found === 'string') return `cannot be looked at (${found})`;
  return found.isDirectory() ? strangersWrite(found) : 'is not a folder';
}

/**
 * Reads a trusted certificate, `<folder>/<id>.pem`, PEM or DER. The id is a UUID. Throws ImageSignatureInvalid when it
 * is absent, when others than the worker's user or root could have put it there, or when it is not valid today.
 */
export async function trustedCertificate(folder: string, id: string): Promise<X509Certificate> {
  const inFolder = await trustFolderProblem(folder);
  if (inFolder !== undefined) {
    throw new EverbootFailure('ImageSignatureInvalid', `the folder of trusted certificates, ${folder}, ${inFolder}`, {
      remedy: 'Make [glance] signature_certificates_path a folder that only root or the worker’s user may write.',
    });
  }
  const certificate = parsed(await readCertificate(folder, id), id);
  const { validFromDate, validToDate } = certificate;
  const now = Date.now();
  if (now >= validFromDate.getTime() && now <= validToDate.getTime()) return certificate;
  const dates = `from ${validFromDate.toISOString()} to ${validToDate.toISOString()}`;
  throw untrusted(id, `is valid ${dates}, which is not now`);
}

async function readCertificate(folder: string, id: string): Promise<Buffer> {
  // No link, whose end others might write, and nothing that waits to be opened.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(`${folder}/${id}.pem`, flags).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw untrusted(id, `is not among those that this host trusts, in ${folder}`);
    throw untrusted(id, `cannot be read (${error.code})`);
  });
  try {
    const found = await file.stat();
    const wrong = found.isFile() ? strangersWrite(found) : 'is not a file';
    if (wrong !== undefined) throw untrusted(id, wrong);
    if (found.size > maxCertificateBytes) throw untrusted(id, `has more than ${maxCertificateBytes / 1024} KiB`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

function parsed(bytes: Buffer, id: string): X509Certificate {
  try {
    return new X509Certificate(bytes);
  } catch {
    throw untrusted(id, 'is not an X.509 certificate');
  }
}

/** Whoever may write what is trusted decides what is trusted. */
function strangersWrite({ mode, uid }: Stats): string | undefined {
  if ((mode & 0o022) !== 0) {
    return `may be written by others than its owner (${(mode & 0o7777).toString(8).padStart(4, '0')})`;
  }
  return uid === 0 || uid === process.getuid?.() ? undefined : `belongs to user ${uid}`;
}

function untrusted(id: string, what: string): EverbootFailure {
  return new EverbootFailure('ImageSignatureInvalid', `the certificate ${id} ${what}`);
}
