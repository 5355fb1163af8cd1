import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import {
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runProgram } from '../../../hypervisor/process/run-program.ts';
import { unpackTree } from '../../../hypervisor/root-file-system/unpack-tree.ts';

const limits = { bytes: 2 ** 20, diskBytes: 2 ** 23, entries: 1000, folderNameBytes: 60_000 };
const isRoot = process.getuid?.() === 0;

let folder: string;
before(async () => {
  folder = await mkdtemp('/var/tmp/everboot-unpack-');
});
after(() => rm(folder, { recursive: true, force: true }));

interface Entry {
  readonly name: string;
  readonly kind?: string;
  readonly target?: string;
  readonly content?: string;
  readonly mode?: number;
  /** The field as it stands in the header. */
  readonly owner?: Buffer;
}

/** An archive as a hostile appliance would write it. */
function archiveOf(entries: readonly Entry[]): Buffer {
  const blocks = entries.flatMap(({ name, kind = '0', target = '', content = '', mode = 0o644, owner }) => {
    const header = Buffer.alloc(512);
    header.write(name, 0, 'latin1');
    header.write(`${mode.toString(8).padStart(7, '0')}\0`, 100);
    header.write('0000000\0', 108);
    header.write('0000000\0', 116);
    owner?.copy(header, 108);
    header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write('00000000000\0', 136);
    header.write('        ', 148);
    header.write(kind, 156);
    header.write(target, 157, 'latin1');
    header.write('ustar  \0', 257);
    header.write(
      `${header
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
    );
    const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
    body.write(content);
    return [header, body];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

async function* inPieces(archive: Buffer, bytes = 700): AsyncIterable<Buffer> {
  for (let start = 0; start < archive.length; start += bytes) yield archive.subarray(start, start + bytes);
}

async function unpack(entries: readonly Entry[], target: string, allowed = limits) {
  return await unpackTree(inPieces(archiveOf(entries)), target, allowed);
}

const needsRoot = isRoot ? false : 'only root gives files to others';

test('a tree that tar packed comes out as it was', { skip: needsRoot }, async () => {
  const tree = join(folder, 'tree');
  const deep = `usr/share/${'long-name-'.repeat(12)}/${'another-long-name-'.repeat(8)}`;
  await mkdir(join(tree, deep), { recursive: true });
  await mkdir(join(tree, 'bin'));
  await writeFile(join(tree, 'bin/su'), 'program');
  await chown(join(tree, 'bin/su'), 0, 12);
  await chmod(join(tree, 'bin/su'), 0o4755);
  await link(join(tree, 'bin/su'), join(tree, 'bin/sudo'));
  await symlink('/bin/su', join(tree, 'bin/link'));
  await symlink(`../${'x'.repeat(200)}`, join(tree, deep, 'long-link'));
  await writeFile(join(tree, deep, 'file'), 'x'.repeat(100_000));
  await writeFile(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0xfe])]), 'no text');
  await mkdir(join(tree, 'tmp'));
  await chmod(join(tree, 'tmp'), 0o1777);
  await chown(join(tree, 'tmp'), 3_000_000, 3_000_000);
  await runProgram('mknod', [join(tree, 'bin/null'), 'c', '1', '3'], { timeoutMs: 120_000 });
  await runProgram('mkfifo', [join(tree, 'bin/pipe')], { timeoutMs: 120_000 });
  await runProgram('tar', ['-C', tree, '-cf', join(folder, 'tree.tar'), '.'], { timeoutMs: 120_000 });

  const target = join(folder, 'unpacked');
  const made = await unpackTree(createReadStream(join(folder, 'tree.tar')), target, limits);
  assert.equal(made.skipped, 2, 'a device and a pipe');
  await rm(join(tree, 'bin/null'));
  await rm(join(tree, 'bin/pipe'));
  assert.deepEqual(await factsOf(target), await factsOf(tree));
  assert.equal((await lstat(join(target, 'bin/su'))).nlink, 2);
});

/** Everything about a tree that an unpacking should keep; folders' times are not. */
async function factsOf(tree: string): Promise<unknown> {
  const names = await readdir(Buffer.from(tree), { encoding: 'buffer' });
  const facts = names
    .toSorted((one, two) => Buffer.compare(one, two))
    .map(async (name) => {
      const path = Buffer.concat([Buffer.from(`${tree}/`), name]);
      const { mode, uid, gid, size, mtimeMs } = await lstat(path);
      const about = { name: name.toString('latin1'), mode, uid, gid };
      if ((mode & 0o170000) === 0o040000) return [about, await factsOf(path.toString())];
      if ((mode & 0o170000) === 0o120000) return [about, await readlink(path)];
      return [about, size, Math.floor(mtimeMs / 1000), (await readFile(path)).toString('latin1')];
    });
  return await Promise.all(facts);
}

const outside = [{ name: './', kind: '5', mode: 0o755 }] as const;
const hostile: Readonly<Record<string, { readonly entries: readonly Entry[]; readonly words: RegExp }>> = {
  'a path that leads up': { entries: [...outside, { name: '../evil', content: 'x' }], words: /a path in it is none/ },
  'an absolute path': { entries: [{ name: '/etc/evil', content: 'x' }], words: /a path in it is none/ },
  'a path up in the middle': {
    entries: [
      { name: 'a', kind: '5' },
      { name: 'a/../../evil', content: 'x' },
    ],
    words: /a path in it is none/,
  },
  'a file through a link to a folder of the host': {
    entries: [
      { name: 'a', kind: '2', target: '/var/tmp' },
      { name: 'a/evil', content: 'x' },
    ],
    words: /in no folder/,
  },
  'a file over a link to a file of the host': {
    entries: [
      { name: 'a', kind: '2', target: '/etc/passwd' },
      { name: 'a', content: 'x' },
    ],
    words: /there twice/,
  },
  'a folder over a link': {
    entries: [
      { name: 'a', kind: '2', target: '/var/tmp' },
      { name: 'a', kind: '5' },
      { name: 'a/evil', content: 'x' },
    ],
    words: /there twice/,
  },
  'a second name of a file of the host': {
    entries: [{ name: 'a', kind: '1', target: '/etc/shadow' }],
    words: /a path in it is none/,
  },
  'a second name of a link': {
    entries: [
      { name: 'a', kind: '2', target: '/etc/shadow' },
      { name: 'b', kind: '1', target: 'a' },
    ],
    words: /a second name in it is of no file/,
  },
  'a file in a folder that is not there': { entries: [{ name: 'a/b', content: 'x' }], words: /in no folder/ },
  'folders in each other without end': {
    entries: Array.from({ length: 300 }, (_, depth) => ({ name: `${'d/'.repeat(depth + 1)}`.slice(0, 99), kind: '5' })),
    words: /there twice|in no folder|too deep/,
  },
  'folders with more bytes in their paths than are kept in memory': {
    entries: Array.from({ length: 700 }, (_, index) => ({ name: `${index}`.padEnd(96, 'd'), kind: '5' })),
    words: /paths have more than 60000 bytes/,
  },
  'a path that is too long only with the host’s folder in front': {
    entries: Array.from({ length: 21 }, (_, depth) => [
      { name: '././@LongLink', kind: 'L', content: `${'d'.repeat(200)}/`.repeat(depth + 1).slice(0, 4060) },
      { name: 'cut', kind: '5' },
    ]).flat(),
    words: /too long/,
  },
  'a link that is there twice': {
    entries: Array.from({ length: 2 }, () => ({ name: 'a', kind: '2', target: 'b' })),
    words: /there twice/,
  },
  'an owner that is -1': { entries: [{ name: 'a', owner: Buffer.alloc(8, 0xff) }], words: /an owner in it is none/ },
  'an owner that the kernel takes for nobody': {
    entries: [{ name: 'a', owner: Buffer.from('80000000ffffffff', 'hex') }],
    words: /an owner in it is none/,
  },
  'more files than there may be': {
    entries: Array.from({ length: 1001 }, (_, index) => ({ name: `f${index}` })),
    words: /more than 1000 files/,
  },
  'a kind of entry that nobody knows': { entries: [{ name: 'a', kind: 'S' }], words: /kind "S"/ },
};

for (const [title, { entries, words }] of Object.entries(hostile)) {
  test(`refused: ${title}`, { skip: needsRoot }, async () => {
    const place = await mkdtemp(join(folder, 'hostile-'));
    await assert.rejects(unpack(entries, join(place, 'rootfs')), { code: 'ImageUnacceptable', message: words });
    assert.deepEqual(await readdir(place), ['rootfs'], 'nothing beside the folder');
    assert.equal(await lstat('/var/tmp/evil').catch(() => null), null);
  });
}

test('many small files count with the blocks that they take', { skip: needsRoot }, async () => {
  const small = Array.from({ length: 100 }, (_, index) => ({ name: `f${index}`, content: 'x' }));
  const room = 100 * (4096 + 512);
  await unpack(small, join(folder, 'small'), { ...limits, diskBytes: room });
  const refused = { code: 'ImageUnacceptable', message: /more than 460799 bytes on a disk/ };
  await assert.rejects(unpack(small, join(folder, 'too-many'), { ...limits, diskBytes: room - 1 }), refused);
});

test('a file that says it is larger than all may be is refused before it is written', { skip: needsRoot }, async () => {
  const archive = archiveOf([{ name: 'a', content: 'x' }]);
  archive.write('77777777777\0', 124);
  let sum = 0x20 * 8;
  archive.subarray(0, 512).forEach((byte, index) => {
    if (index < 148 || index >= 156) sum += byte;
  });
  archive.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const target = join(folder, 'large');
  await assert.rejects(unpackTree(inPieces(archive), target, limits), { message: /more than 1048576 bytes/ });
  assert.deepEqual(await readdir(target), []);
});

test('an archive that is cut off, or is none, is refused', { skip: needsRoot }, async () => {
  const whole = archiveOf([{ name: 'a', content: 'x'.repeat(2000) }]);
  for (const [name, bytes] of [
    ['in a header', whole.subarray(0, 100)],
    ['in a file', whole.subarray(0, 1000)],
    ['no archive', Buffer.alloc(2048, 0x55)],
  ] as const) {
    await assert.rejects(unpackTree(inPieces(bytes), join(folder, name), limits), { code: 'ImageUnacceptable' }, name);
  }
});
