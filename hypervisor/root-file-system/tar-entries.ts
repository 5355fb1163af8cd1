import { EverbootFailure } from '../../domain/failures.ts';
import type { ByteReader } from './byte-reader.ts';

/** One entry of an archive. Names are bytes, a character each: no file system of Linux asks for more. */
export interface TarEntry {
  readonly type: 'file' | 'hard link' | 'link' | 'folder' | 'device or pipe';
  readonly name: string;
  /** The link's target. */
  readonly target: string;
  /** The permissions, with setuid, setgid and the sticky bit. */
  readonly mode: number;
  readonly userId: number;
  readonly groupId: number;
  readonly sizeBytes: number;
  /** In seconds since 1970. */
  readonly modifiedAt: number;
}

const blockBytes = 512;

/** The kernel's largest; the next would be -1, which means that the owner stays who it is. */
const maxOwnerId = 2 ** 32 - 2;

/** Longer than any path that a kernel takes. */
const maxLongNameBytes = 64 * 1024;

const types: Readonly<Record<string, TarEntry['type']>> = {
  '0': 'file',
  '\0': 'file',
  '1': 'hard link',
  '2': 'link',
  '3': 'device or pipe',
  '4': 'device or pipe',
  '5': 'folder',
  '6': 'device or pipe',
};

/**
 * The next entry of an archive in GNU's format, which is what the tar in libguestfs' appliance writes; null at its end.
 * The entry's bytes come next, see `skipPadding`. Throws ImageUnacceptable for what is no such archive: a tenant's file
 * system may have got the better of the appliance.
 */
export async function nextEntry(reader: ByteReader): Promise<TarEntry | null> {
  const long: { name?: string; target?: string } = {};
  for (;;) {
    const header = await reader.take(blockBytes);
    // Two blocks of zeros are the end; what follows them is padding.
    if (header === null || header.every((byte) => byte === 0)) return null;
    if (!hasRightSum(header)) throw noArchive('a header has another sum than it says');
    const kind = text(header, 156, 1) || '\0';
    if (kind !== 'L' && kind !== 'K') return entryOf(header, kind, long);
    const name = await longName(reader, sizeAt(header));
    if (kind === 'L') long.name = name;
    else long.target = name;
  }
}

/** Passes over what fills an entry's last block up. */
export async function skipPadding(reader: ByteReader, sizeBytes: number): Promise<void> {
  const padding = (blockBytes - (sizeBytes % blockBytes)) % blockBytes;
  if (padding > 0) await reader.take(padding);
}

function entryOf(header: Buffer, kind: string, long: { name?: string; target?: string }): TarEntry {
  const type = types[kind];
  if (type === undefined) throw noArchive(`it has an entry of the kind ${JSON.stringify(kind)}`);
  return {
    type,
    name: long.name ?? text(header, 0, 100),
    target: long.target ?? text(header, 157, 100),
    mode: numberAt(header, 100, 8) & 0o7777,
    userId: ownerAt(header, 108),
    groupId: ownerAt(header, 116),
    sizeBytes: type === 'file' ? sizeAt(header) : 0,
    // Before 1970 is as good as then.
    modifiedAt: Math.max(0, numberAt(header, 136, 12)),
  };
}

function ownerAt(header: Buffer, start: number): number {
  const id = numberAt(header, start, 8);
  if (id < 0 || id > maxOwnerId) throw noArchive('an owner in it is none');
  return id;
}

function sizeAt(header: Buffer): number {
  const sizeBytes = numberAt(header, 124, 12);
  if (sizeBytes < 0) throw noArchive('a size in it is none');
  return sizeBytes;
}

/** A name of more than 100 bytes comes as an entry of its own. */
async function longName(reader: ByteReader, sizeBytes: number): Promise<string> {
  if (sizeBytes > maxLongNameBytes) throw noArchive(`a name in it has ${sizeBytes} bytes`);
  const bytes = (await reader.take(sizeBytes)) ?? Buffer.alloc(0);
  await skipPadding(reader, sizeBytes);
  return text(bytes, 0, bytes.length);
}

function text(bytes: Buffer, start: number, length: number): string {
  const field = bytes.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.toString('latin1', 0, end === -1 ? field.length : end);
}

/**
 * Octal digits or, where these do not suffice, a first byte of 0x80 and the number itself; -1 for all that are
 * negative.
 */
function numberAt(header: Buffer, start: number, length: number): number {
  const field = header.subarray(start, start + length);
  const first = field[0] ?? 0;
  if (first === 0xff) return -1;
  if (first === 0x80) {
    const value = field.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0);
    if (!Number.isSafeInteger(value)) throw noArchive('a number in it is too large');
    return value;
  }
  const digits = text(header, start, length).trim();
  if (!/^[0-7]*$/.test(digits)) throw noArchive('a number in it has no octal digits');
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

/** The sum of the header's bytes, with blanks in place of the sum. */
function hasRightSum(header: Buffer): boolean {
  const sum = header.reduce((total, byte, index) => total + (index >= 148 && index < 156 ? 0x20 : byte), 0);
  return sum === numberAt(header, 148, 8);
}

function noArchive(problem: string): EverbootFailure {
  return new EverbootFailure('ImageUnacceptable', `the archive of its files cannot be read: ${problem}`);
}
