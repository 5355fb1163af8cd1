import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { GlanceSettings } from '../../domain/configuration.ts';
import type { EverbootFailure } from '../../domain/failures.ts';
import type { ImageDescription } from '../../domain/image.ts';
import { downloadImage } from '../../hypervisor/download/download-image.ts';
import { judgeHead } from '../../hypervisor/image-inspector/judge-head.ts';
import { runProgram } from '../../hypervisor/run-program.ts';
import { describeImage } from '../../hypervisor/sources/describe-image.ts';
import { startGlance, type TestGlance } from '../fixtures/glance.ts';
import { type Answer, glanceSettings, imageServer, serve } from '../fixtures/image-server.ts';

const mebibyte = 2 ** 20;
const id = 'c1f0e1a2-0000-4000-8000-5f3b1c2d4e5f';
const bytes = randomBytes(3 * mebibyte + 77);

interface Roots {
  readonly directory: string;
  readonly partPath: string;
  readonly roots: readonly string[];
}

async function folders(t: TestContext): Promise<Roots> {
  const directory = await mkdtemp(join(tmpdir(), 'everboot-local-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  await mkdir(join(directory, 'root'));
  return { directory, partPath: join(directory, 'base.part'), roots: [join(directory, 'root')] };
}

function digestOf(content: Buffer, algorithm: 'sha256' | 'sha512' = 'sha512') {
  return { algorithm, hex: createHash(algorithm).update(content).digest('hex') };
}

async function fetchImage(
  { partPath, roots }: Roots,
  image: ImageDescription,
  glance: Partial<GlanceSettings> = {},
): Promise<{ sizeBytes: number }> {
  return await downloadImage(
    { image, partPath, timeMs: 30_000, judgeHead },
    { glance: glanceSettings(glance), fileImageRoots: roots },
    { signal: AbortSignal.timeout(30_000), onProgress: () => undefined },
  );
}

function localFile(file: string, content: Buffer, changes: Partial<ImageDescription> = {}): ImageDescription {
  const { algorithm, hex } = digestOf(content, 'sha256');
  const reference = { file, digest: `${algorithm}:${hex}`, format: 'raw' } as const;
  const unknown = { minDiskGb: 0, minRamMb: 0, properties: {} };
  const told = {
    reference,
    title: 'local',
    format: 'raw',
    sizeBytes: content.length,
    digest: { algorithm, hex },
  } as const;
  return { ...told, ...unknown, ...changes };
}

const direct = { allowedDirectUrlSchemes: ['file'], numRetries: 0 };

/** A Glance that says where the image lies, and counts how often its bytes are asked for. */
async function tellingGlance(t: TestContext, locations: readonly unknown[], answer: Answer = serve(bytes)) {
  let files = 0;
  const { algorithm, hex } = digestOf(bytes);
  const record = { id, name: 'told', status: 'active', disk_format: 'raw', container_format: 'bare' };
  const told = { ...record, size: bytes.length, os_hash_algo: algorithm, os_hash_value: hex };
  const server = await imageServer(t, [
    (request, response) => {
      if (request.url?.endsWith('/locations')) return response.end(JSON.stringify(locations));
      if (!request.url?.endsWith('/file')) return response.end(JSON.stringify(told));
      files += 1;
      return answer(request, response);
    },
  ]);
  const image = await describeImage(
    { glance: id },
    { glance: glanceSettings({ apiServers: [server.url] }), fileImageRoots: [] },
    AbortSignal.timeout(10_000),
  );
  return { server, image, files: () => files, settings: { ...direct, apiServers: [server.url] } };
}

describe('an image on the host itself', () => {
  test('is copied with its holes, and verified', async (t) => {
    const where = await folders(t);
    const file = join(where.roots[0] ?? '', 'sparse.raw');
    await writeFile(file, bytes);
    await truncate(file, 64 * mebibyte);
    const content = await readFile(file);
    await fetchImage(where, localFile(file, content));
    assert.ok((await readFile(where.partPath)).equals(content));
    const { blocks } = await stat(where.partPath);
    assert.ok(blocks * 512 < 8 * mebibyte, `${blocks * 512} bytes are occupied`);
  });

  test('is refused by its head before anything is copied', async (t) => {
    const where = await folders(t);
    const file = join(where.roots[0] ?? '', 'overlay.qcow2');
    await runProgram(
      'qemu-img',
      ['create', '-q', '-f', 'qcow2', '-u', '-F', 'raw', '-b', '/etc/hostname', file, '1G'],
      {
        timeoutMs: 30_000,
      },
    );
    await truncate(file, 2 * mebibyte);
    const image = localFile(file, await readFile(file), { format: 'qcow2' });
    await assert.rejects(fetchImage(where, image), { code: 'ImageUnacceptable' });
    await assert.rejects(stat(where.partPath), { code: 'ENOENT' });
  });

  test('with other bytes than the digest says is refused', async (t) => {
    const where = await folders(t);
    const file = join(where.roots[0] ?? '', 'other.raw');
    await writeFile(file, randomBytes(bytes.length));
    await assert.rejects(fetchImage(where, localFile(file, bytes)), { code: 'ImageDigestMismatch' });
  });

  test('shares its blocks with the copy where the file system can', async (t) => {
    const where = await folders(t);
    const disk = join(where.directory, 'xfs');
    const mount = join(where.directory, 'mounted');
    await mkdir(mount);
    await writeFile(disk, '');
    await truncate(disk, 512 * mebibyte);
    await runProgram('mkfs.xfs', ['-q', '-m', 'reflink=1', disk], { timeoutMs: 60_000 });
    const mounted = await runProgram('mount', ['-o', 'loop', disk, mount], { timeoutMs: 30_000 }).catch(
      (error: EverbootFailure) => error,
    );
    if (mounted instanceof Error) return t.skip(`xfs cannot be mounted here: ${mounted.message}`);
    try {
      const file = join(mount, 'image.raw');
      await writeFile(file, bytes);
      await fetchImage({ ...where, partPath: join(mount, 'base.part'), roots: [mount] }, localFile(file, bytes));
      const { stdout } = await runProgram('filefrag', ['-v', join(mount, 'base.part')], { timeoutMs: 30_000 });
      assert.match(stdout, /shared/);
    } finally {
      await runProgram('umount', [mount], { timeoutMs: 30_000 });
    }
  });
});

describe('an image whose place Glance tells', () => {
  test('is copied from there, and its bytes are never asked for', async (t) => {
    const where = await folders(t);
    const file = join(where.roots[0] ?? '', 'stored image');
    await writeFile(file, bytes);
    const { image, files, settings } = await tellingGlance(t, [{ url: `file://${encodeURI(file)}`, metadata: {} }]);
    await fetchImage(where, image, settings);
    assert.ok((await readFile(where.partPath)).equals(bytes));
    assert.equal(files(), 0);
  });

  test('is fetched from Glance where the place is none that the host allows', async (t) => {
    const where = await folders(t);
    const outside = join(where.directory, 'outside.raw');
    await writeFile(outside, bytes);
    const link = join(where.roots[0] ?? '', 'link');
    await symlink(outside, link);
    const short = join(where.roots[0] ?? '', 'short');
    await writeFile(short, bytes.subarray(0, 2 * mebibyte));
    const places = [
      [{ url: `file://${outside}` }],
      [{ url: `file://${link}` }],
      [{ url: `file://${where.roots[0]}/../outside.raw` }],
      [{ url: `file://${short}` }],
      [{ url: `file://${where.roots[0]}/absent` }],
      [{ url: `file://other-host${outside}` }],
      [{ url: 'rbd://fsid/pool/image/snap' }],
      [{ url: 7 }, null, 'file:///', { url: 'file://%zz' }],
      [],
    ];
    for (const locations of places) {
      const { image, files, settings } = await tellingGlance(t, locations);
      await rm(where.partPath, { force: true });
      await rm(`${where.partPath}.json`, { force: true });
      await fetchImage(where, image, settings);
      assert.ok((await readFile(where.partPath)).equals(bytes));
      assert.equal(files(), 1, JSON.stringify(locations));
    }
  });

  test('is fetched from Glance when the file there is not the image', async (t) => {
    const where = await folders(t);
    const file = join(where.roots[0] ?? '', 'tampered');
    await writeFile(file, randomBytes(bytes.length));
    const { image, files, settings } = await tellingGlance(t, [{ url: `file://${file}` }]);
    await assert.rejects(fetchImage(where, image, settings), { code: 'SourceChanged' });
    await fetchImage(where, image, settings);
    assert.equal(files(), 1);
    assert.ok((await readFile(where.partPath)).equals(bytes));
  });

  test('is not looked for where the host allows no scheme, nor on another Glance than its own', async (t) => {
    const where = await folders(t);
    const file = join(where.roots[0] ?? '', 'image');
    await writeFile(file, bytes);
    const { image, files, settings, server } = await tellingGlance(t, [{ url: `file://${file}` }]);
    await fetchImage(where, image, { apiServers: [server.url] });
    assert.equal(files(), 1);
    await rm(where.partPath);
    const foreign = { ...image, reference: { glance: `${server.url}/v2/images/${id}` } };
    await fetchImage(where, foreign, { ...settings, apiServers: ['http://127.0.0.1:1'] });
    assert.equal(files(), 2);
    assert.ok(!server.requests.some((request) => request.endsWith('/locations')));
  });
});

describe('an image in the file store of a real Glance', () => {
  let glance: TestGlance;
  before(async () => {
    glance = await startGlance();
  });
  after(() => glance.stop());

  test('is copied from the store, past the API', async (t) => {
    const where = await folders(t);
    const source = join(where.directory, 'upload.raw');
    await writeFile(source, bytes);
    const image = await glance.upload(source, { name: 'stored', disk_format: 'raw' });
    const settings = { ...direct, apiServers: [glance.endpoint] };
    const sources = { glance: glanceSettings(settings), fileImageRoots: [] };
    const described = await describeImage({ glance: image }, sources, AbortSignal.timeout(10_000));
    const store = join(glance.folder, 'images');
    await fetchImage({ ...where, roots: [store] }, described, settings);
    assert.ok((await readFile(where.partPath)).equals(bytes));
    const changed = await open(join(store, image), 'r+');
    await changed.write(Buffer.from('changed'), 0, 7, 0);
    await changed.close();
    await rm(where.partPath);
    // A wrong copy is worth a fetch through the API; what the API sends in one piece is the last word.
    await assert.rejects(fetchImage({ ...where, roots: [store] }, described, settings), { code: 'SourceChanged' });
    await assert.rejects(fetchImage({ ...where, roots: [store] }, described, settings), {
      code: 'ImageDigestMismatch',
    });
  });
});
