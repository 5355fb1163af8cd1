import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, renameSync, statSync } from 'node:fs';
import { readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryKernelLock } from '../../hypervisor/locks/kernel-lock.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { glanceSettings } from '../fixtures/image-server.ts';
import { fetchImage, folders, localFile, mountedDisk } from '../fixtures/local-images.ts';

const mebibyte = 2 ** 20;
const bytes = randomBytes(3 * mebibyte + 77);
const download = new URL('../../hypervisor/image-store/download/download-image.ts', import.meta.url).href;
const kernelLock = new URL('../../hypervisor/locks/kernel-lock.ts', import.meta.url).href;

/** A worker of its own, which downloads under a lock. */
const script = `
  const { downloadImage } = await import(${JSON.stringify(download)});
  const { tryKernelLock } = await import(${JSON.stringify(kernelLock)});
  const [order, settings, request] = JSON.parse(process.env.ORDER);
  const lock = await tryKernelLock(request);
  const control = { signal: new AbortController().signal, onProgress() {} };
  await downloadImage({ ...order, heldLocks: [lock.descriptor] }, settings, control);
`;

describe('an image on the host itself', () => {
  test('is copied with its holes, and verified', async (t) => {
    const where = await folders(t);
    const file = join(where.root, 'sparse.raw');
    await writeFile(file, bytes);
    await truncate(file, 64 * mebibyte);
    const content = await readFile(file);
    const made = await fetchImage(where, localFile(file, content));
    assert.deepEqual(made, { sizeBytes: content.length, resumedAtBytes: 0 });
    assert.ok((await readFile(where.partPath)).equals(content));
    const { blocks } = await stat(where.partPath);
    assert.ok(blocks * 512 < 8 * mebibyte, `${blocks * 512} bytes are occupied`);
  });

  test('is refused by its head before anything is copied', async (t) => {
    const where = await folders(t);
    const file = join(where.root, 'overlay.qcow2');
    const args = ['create', '-q', '-f', 'qcow2', '-u', '-F', 'raw', '-b', '/etc/hostname', file, '1G'];
    await runProgram('qemu-img', args, { timeoutMs: 120_000 });
    await truncate(file, 2 * mebibyte);
    const image = localFile(file, await readFile(file), { format: 'qcow2' });
    await assert.rejects(fetchImage(where, image), { code: 'ImageUnacceptable' });
    await assert.rejects(stat(where.partPath), { code: 'ENOENT' });
  });

  test('with other bytes than the digest says is refused', async (t) => {
    const where = await folders(t);
    const file = join(where.root, 'other.raw');
    await writeFile(file, randomBytes(bytes.length));
    await assert.rejects(fetchImage(where, localFile(file, bytes)), { code: 'ImageDigestMismatch' });
  });

  test('that grows while it is copied is read once more, and never becomes longer than it was said to be', async (t) => {
    const where = await folders(t);
    const file = join(where.root, 'growing.raw');
    await writeFile(file, bytes);
    let looks = 0;
    const judgeHead = () => {
      looks += 1;
      if (looks === 1) appendFileSync(file, 'more');
    };
    // What streaming says of it: the file is not the one that was described.
    await assert.rejects(fetchImage(where, localFile(file, bytes), { order: { judgeHead } }), {
      code: 'ImageTooLarge',
    });
    await assert.rejects(stat(where.partPath), { code: 'ENOENT' });
  });

  test('that is replaced while it is copied is the one that was opened', async (t) => {
    const where = await folders(t);
    const file = join(where.root, 'replaced.raw');
    await writeFile(file, bytes);
    await writeFile(`${file}.new`, randomBytes(bytes.length));
    let looks = 0;
    const judgeHead = () => {
      looks += 1;
      if (looks === 1) renameSync(`${file}.new`, file);
    };
    await fetchImage(where, localFile(file, bytes), { order: { judgeHead } });
    assert.ok((await readFile(where.partPath)).equals(bytes));
  });

  test('restarts when its worker is killed in the middle, and the copy has ended when the lock is free', async (t) => {
    const where = await folders(t);
    const content = Buffer.concat(Array.from({ length: 128 }, () => bytes));
    const file = join(where.root, 'large.raw');
    await writeFile(file, content);
    const image = localFile(file, content);
    const order = { image, partPath: where.partPath, timeMs: 60_000 };
    const request = { lockFile: join(where.directory, 'locks'), key: 'fetch:base' };
    const settings = { glance: glanceSettings(), fileImageRoots: [where.root] };
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      env: { ORDER: JSON.stringify([order, settings, request]) },
      stdio: 'ignore',
    });
    const ended = once(child, 'exit');
    t.after(() => child.kill('SIGKILL'));
    const copied = (): number => statSync(where.partPath, { throwIfNoEntry: false })?.size ?? 0;
    while (copied() === 0 && child.exitCode === null) await sleep(1, undefined, { signal: t.signal });
    child.kill('SIGKILL');
    await ended;
    for (;;) {
      const lock = await tryKernelLock(request);
      if (lock !== undefined) {
        await lock.release();
        break;
      }
      await sleep(1, undefined, { signal: t.signal });
    }
    const left = copied();
    assert.ok(left > 0 && left < content.length, `${left} bytes were copied`);
    await sleep(100);
    assert.equal(copied(), left, 'nobody writes any more');
    assert.deepEqual(await fetchImage(where, image), { sizeBytes: content.length, resumedAtBytes: 0 });
    assert.ok((await readFile(where.partPath)).equals(content));
  });

  test('is not copied any further when the step is stopped, and the next one restarts', async (t) => {
    const where = await folders(t);
    const content = Buffer.concat(Array.from({ length: 64 }, () => bytes));
    const file = join(where.root, 'large.raw');
    await writeFile(file, content);
    const stop = new AbortController();
    const work = fetchImage(where, localFile(file, content), { signal: stop.signal });
    while ((statSync(where.partPath, { throwIfNoEntry: false })?.size ?? 0) === 0) await sleep(1);
    stop.abort(new Error('enough'));
    await assert.rejects(work, /^Error: enough$/);
    assert.deepEqual(await fetchImage(where, localFile(file, content)), {
      sizeBytes: content.length,
      resumedAtBytes: 0,
    });
  });

  test('shares its blocks with the copy where the file system can', async (t) => {
    const where = await folders(t);
    const mounted = await mountedDisk(t, where, ['mkfs.xfs', '-q', '-m', 'reflink=1'], 512 * mebibyte);
    if (typeof mounted === 'string') return t.skip(mounted);
    const file = join(mounted.mount, 'image.raw');
    await writeFile(file, bytes);
    const partPath = join(mounted.mount, 'base.part');
    await fetchImage({ ...where, partPath, root: mounted.mount }, localFile(file, bytes));
    const { stdout } = await runProgram('filefrag', ['-v', partPath], { timeoutMs: 120_000 });
    assert.match(stdout, /shared/);
  });
});
