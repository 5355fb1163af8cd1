import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { EverbootFailure } from '../../domain/failures.ts';
import { type HostPaths, hostPaths } from '../../domain/host-paths.ts';
import { prepareFolders } from '../../hypervisor/image-cache/prepare-folders.ts';
import { runProgram } from '../../hypervisor/run-program.ts';
import { promiseSpace, returnSpace } from '../../hypervisor/space-ledger.ts';

const mebibyte = 2 ** 20;
const sizeMib = 96;
let mount: string;
let paths: HostPaths;
let isMounted = false;
before(async () => {
  mount = await mkdtemp(join(tmpdir(), 'everboot-ledger-'));
  isMounted = await runProgram('mount', ['-t', 'tmpfs', '-o', `size=${sizeMib}m`, 'tmpfs', mount], {
    timeoutMs: 10_000,
  }).then(
    () => true,
    () => false,
  );
  paths = hostPaths(join(mount, 'instances'), '_base');
  await prepareFolders(paths);
});
after(async () => {
  if (isMounted) await runProgram('umount', [mount], { timeoutMs: 10_000 });
  await rm(mount, { recursive: true, force: true });
});

/** Asks for space for ten builds at once, in a process of its own, and says for how many it was promised. */
async function askForTen(bytes: number): Promise<number> {
  const module = new URL('../../hypervisor/space-ledger.ts', import.meta.url).href;
  const script = `
    const { promiseSpace } = await import(${JSON.stringify(module)});
    const { randomUUID } = await import('node:crypto');
    const paths = JSON.parse(process.env.PATHS);
    const claim = () => ({ instanceId: randomUUID(), operationId: randomUUID() });
    const ask = () => promiseSpace(paths, {
      claim: claim(), purpose: 'download', path: paths.cache + '/' + randomUUID(), bytes: ${bytes}, reservedBytes: 0 });
    const asked = await Promise.allSettled(Array.from({ length: 10 }, ask));
    const refused = asked.filter((each) => each.status === 'rejected' && each.reason.code !== 'InsufficientSpace');
    if (refused.length > 0) throw refused[0].reason;
    process.stdout.write(String(asked.filter((each) => each.status === 'fulfilled').length));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { PATHS: JSON.stringify(paths) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (piece) => {
    said += String(piece);
  });
  const [code] = await once(child, 'close');
  assert.equal(code, 0);
  return Number(said);
}

async function freeBytes(): Promise<number> {
  const { bavail, bsize } = await statfs(paths.instances);
  return bavail * bsize;
}

test('fifty builds that ask at once are not all promised the same bytes', async (t) => {
  if (!isMounted) return t.skip('a small file system cannot be mounted here');
  const each = 8 * mebibyte;
  const granted = (await Promise.all(Array.from({ length: 5 }, () => askForTen(each)))).reduce((sum, n) => sum + n, 0);
  const fits = Math.floor((await freeBytes()) / each);
  assert.ok(granted <= fits && granted >= fits - 1, `${granted} were granted, ${fits} fit`);
});

test('a promise counts what is not written yet, is given back, and says its numbers when it is refused', async (t) => {
  if (!isMounted) return t.skip('a small file system cannot be mounted here');
  await rm(paths.ledger, { recursive: true });
  await prepareFolders(paths);
  const claim = { instanceId: randomUUID(), operationId: randomUUID() };
  const path = join(paths.cache, 'half');
  const free = await freeBytes();
  const most = { claim, purpose: 'download-a', path, bytes: free - mebibyte, reservedBytes: 0 };
  await promiseSpace(paths, most);
  const other = { ...most, claim: { ...claim, operationId: randomUUID() }, path: join(paths.cache, 'b') };
  await assert.rejects(promiseSpace(paths, { ...other, bytes: 8 * mebibyte }), (error: EverbootFailure) => {
    assert.ok(error instanceof EverbootFailure);
    assert.equal(error.code, 'InsufficientSpace');
    assert.match(error.message, /needs 8 MiB in .*, where \d+ MiB may be used \(\d+ MiB are promised to other steps/);
    return true;
  });
  // What was written of it takes the disk's space, and no longer the ledger's.
  await writeFile(path, Buffer.alloc(32 * mebibyte, 1));
  await assert.rejects(promiseSpace(paths, { ...other, bytes: 8 * mebibyte }), { code: 'InsufficientSpace' });
  await returnSpace(paths, claim);
  await promiseSpace(paths, { ...other, bytes: 8 * mebibyte });
});
