import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, open, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { extractDrive, filesOf } from '../../hypervisor/extract-drive.ts';

/** The contents of a file that is not whole. */
export const damaged = 'damaged';

/** Reads a file in words that are the same for each whole one, whatever time it was made at and where. */
type Reader = (path: string, folder: string) => Promise<string>;

/** By the end of a file's path; the rest is compared byte by byte. */
const readers: readonly (readonly [RegExp, Reader])[] = [
  [/\/everboot\.json$/, (path, folder) => readJson(path, folder, ['createdAt'])],
  [
    /\/fetches\/[^/]+\.json$/,
    (path, folder) => readJson(path, folder, ['updatedAtMs', 'startedAtMs', 'doneBytes', 'totalBytes']),
  ],
  [/\/(_base\/ephemeral_[^/.]+[^/]*|disk\.local)$/, readFileSystem],
  [/\/(swap_\d+|disk\.swap)$/, readSwap],
  [/\/disk\.config$/, readDrive],
  [/\.json$/, (path, folder) => readJson(path, folder, [])],
];

/** The contents of a file below `folder`, in short; they begin with `damaged` where it is not whole. */
export async function contentOf(path: string, folder: string): Promise<string> {
  const [, read = readBytes] = readers.find(([end]) => end.test(path)) ?? [];
  return await read(path, folder);
}

/** The place where a host happens to lie is no difference: it is in XML, records and the headers of overlays. */
async function readBytes(path: string, folder: string): Promise<string> {
  const bytes = await readFile(path);
  const text = bytes.length < 2 ** 20 ? bytes.toString('latin1').replaceAll(folder, '<folder>') : bytes;
  return `${bytes.length} bytes, ${createHash('sha256').update(text).digest('hex')}`;
}

async function readJson(path: string, folder: string, changing: readonly string[]): Promise<string> {
  const text = await readFile(path, 'utf8');
  try {
    return JSON.stringify(JSON.parse(text), (key, value) => (changing.includes(key) ? undefined : value)).replaceAll(
      folder,
      '<folder>',
    );
  } catch {
    return `${damaged}: ${text.slice(0, 100)}`;
  }
}

/** An ext4 file system that its own checker finds no fault with, by its label; an overlay on one by its bytes. */
async function readFileSystem(path: string, folder: string): Promise<string> {
  if (await isQcow2(path)) return await readBytes(path, folder);
  const { size } = await stat(path);
  try {
    execFileSync('e2fsck', ['-fn', path], { stdio: 'pipe' });
    const label = execFileSync('e2label', [path], { encoding: 'utf8', stdio: 'pipe' }).trim();
    return `${size} bytes of ext4, ${label}`;
  } catch (error) {
    return `${damaged}: ${size} bytes, ${error}`;
  }
}

/** A swap area but for its UUID. */
async function readSwap(path: string, folder: string): Promise<string> {
  if (await isQcow2(path)) return await readBytes(path, folder);
  const bytes = await readFile(path);
  if (bytes.subarray(4086, 4096).toString('latin1') !== 'SWAPSPACE2') return `${damaged}: no swap area`;
  bytes.fill(0, 1036, 1052);
  return `${bytes.length} bytes of swap, ${createHash('sha256').update(bytes).digest('hex')}`;
}

/** The files of a config drive but for the seed, which is another one each time. */
async function readDrive(path: string): Promise<string> {
  const scratch = await mkdtemp('/var/tmp/everboot-drive-');
  try {
    const isIso = (await textAt(path, 32_769, 5)) === 'CD001';
    const tree = join(scratch, 'tree');
    await extractDrive(path, isIso ? 'iso9660' : 'vfat', tree);
    const hash = createHash('sha256');
    for (const [name, bytes] of [...(await filesOf(tree))].sort(([one], [other]) => (one < other ? -1 : 1))) {
      hash.update(`${name}\n${bytes.toString('latin1').replace(/"random_seed": ?"[^"]*"/, '')}\n`);
    }
    return `${isIso ? 'iso9660' : 'vfat'} with ${hash.digest('hex')}`;
  } catch (error) {
    return `${damaged}: ${error}`;
  } finally {
    await rm(scratch, { recursive: true });
  }
}

async function isQcow2(path: string): Promise<boolean> {
  return (await textAt(path, 0, 3)) === 'QFI';
}

async function textAt(path: string, at: number, length: number): Promise<string> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at);
    return buffer.toString('latin1', 0, bytesRead);
  } finally {
    await file.close();
  }
}
