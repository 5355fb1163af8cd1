import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EverbootFailure } from '../../../domain/failures.ts';
import { tryKernelLock, waitForKernelLock } from '../../../hypervisor/locks/kernel-lock.ts';
import { runProgram } from '../../../hypervisor/process/run-program.ts';
import { countProcesses } from '../../fixtures/processes.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-programs-'));
});
after(async () => {
  await rm(folder, { recursive: true, force: true });
});

function failsWith(code: string) {
  return (error: unknown) => error instanceof EverbootFailure && error.code === code;
}

test('a program returns what it printed', async () => {
  const { stdout, stderr } = await runProgram('sh', ['-c', 'echo out; echo err >&2'], { timeoutMs: 5000 });
  assert.equal(stdout, 'out\n');
  assert.equal(stderr, 'err\n');
});

test('a program sees none of the worker’s environment', async () => {
  process.env.OS_PASSWORD = 'planted';
  const { stdout } = await runProgram('env', [], { timeoutMs: 5000 });
  assert.doesNotMatch(stdout, /planted/);
});

test('a missing program is ProgramMissing and names its package', async () => {
  await assert.rejects(runProgram('mkfs.nothing', [], { timeoutMs: 5000 }), failsWith('ProgramMissing'));
});

test('a failing program is ProgramFailed with its last words', async () => {
  await assert.rejects(
    runProgram('sh', ['-c', 'echo it broke >&2; exit 3'], { timeoutMs: 5000 }),
    /exit status 3: it broke/,
  );
});

test('a program that takes too long is ended with its children', async () => {
  const marker = `${Math.floor(Math.random() * 1e9)}.5`;
  const running = runProgram('sh', ['-c', `sleep ${marker} & sleep ${marker}`], { timeoutMs: 500 });
  const outcome = assert.rejects(running, failsWith('ProgramTimedOut'));
  await sleep(250);
  assert.equal(await countProcesses('sleep', marker), 2);
  await outcome;
  assert.equal(await countProcesses('sleep', marker), 0);
});

test('an aborted program is killed, and the signal’s reason is thrown', async () => {
  const controller = new AbortController();
  const running = runProgram('sleep', ['30'], { timeoutMs: 60_000, signal: controller.signal });
  await sleep(100);
  controller.abort(new Error('asked to stop'));
  await assert.rejects(running, /asked to stop/);
});

test('a limited program cannot write a larger file than it may', async () => {
  await assert.rejects(
    runProgram('dd', ['if=/dev/zero', `of=${join(folder, 'large')}`, 'bs=1M', 'count=4'], {
      timeoutMs: 5000,
      limits: { fileSizeBytes: 1024 * 1024 },
    }),
    failsWith('ProgramFailed'),
  );
});

test('an isolated program has no network but a loopback that is down', async () => {
  const { stdout } = await runProgram('cat', ['/proc/net/dev'], { timeoutMs: 5000, isolateNetwork: true });
  assert.equal(stdout.trim().split('\n').length, 3);
});

test('a lock lasts until the last program that inherited it has ended', async () => {
  const request = { lockFile: join(folder, 'locks'), key: 'base:abc' };
  const held = await tryKernelLock(request);
  assert.ok(held);
  assert.equal(await tryKernelLock(request), undefined);
  const child = runProgram('sleep', ['0.5'], { timeoutMs: 5000, heldLocks: [held.descriptor] });
  await sleep(100);
  await held.release();
  assert.equal(await tryKernelLock(request), undefined, 'the child still holds it');
  await child;
  const next = await waitForKernelLock(request, { timeoutMs: 2000 });
  assert.ok(next);
  await next.release();
});

test('a program that must finish outlives its worker, and its lock lasts even if it lets go of it', async () => {
  const [lockFile, pipe, done] = ['locks', 'go', 'done'].map((name) => join(folder, name)) as [string, string, string];
  execFileSync('mkfifo', [pipe]);
  const locks = new URL('../../../hypervisor/locks/kernel-lock.ts', import.meta.url).href;
  const programs = new URL('../../../hypervisor/process/run-program.ts', import.meta.url).href;
  const code = `
    import { tryKernelLock } from ${JSON.stringify(locks)};
    import { runProgram } from ${JSON.stringify(programs)};
    const [lockFile, pipe, done] = JSON.parse(process.argv[1]);
    const { descriptor } = await tryKernelLock({ lockFile, key: 'finish' });
    // It closes what it has inherited, waits, and prints into a pipe that nobody reads any more.
    const program = 'exec 3>&- 4>&-; echo started; cat "$1"; echo words; echo whole >"$2"';
    const options = { timeoutMs: 60_000, heldLocks: [descriptor], mustFinish: true };
    await runProgram('sh', ['-c', program, 'sh', pipe, done], options);`;
  const input = JSON.stringify([lockFile, pipe, done]);
  const worker = spawn(process.execPath, ['--input-type=module', '-e', code, input], { stdio: 'ignore' });
  while ((await countProcesses('cat', pipe)) === 0) await sleep(20);
  worker.kill('SIGKILL');
  await once(worker, 'exit');
  const request = { lockFile, key: 'finish' };
  assert.equal(await tryKernelLock(request), undefined, 'it is still at work');
  await writeFile(pipe, 'go\n');
  const next = await waitForKernelLock(request, { timeoutMs: 120_000 });
  assert.ok(next);
  assert.equal(await readFile(done, 'utf8'), 'whole\n');
  await next.release();
});

test('a program that must finish is not ended with its step, but after its time', async () => {
  const stop = new AbortController();
  const finishing = runProgram('sh', ['-c', 'sleep 0.3; echo whole'], {
    ...{ timeoutMs: 5000, mustFinish: true },
    signal: stop.signal,
  });
  stop.abort(new Error('cancelled'));
  assert.equal((await finishing).stdout, 'whole\n');
  const hanging = runProgram('sleep', ['60'], { timeoutMs: 100, mustFinish: true });
  await assert.rejects(hanging, failsWith('ProgramTimedOut'));
});

test('locks of different keys do not exclude each other, and shared ones are held concurrently', async () => {
  const lockFile = join(folder, 'locks');
  const a = await tryKernelLock({ lockFile, key: 'instance:a', shared: true });
  const b = await tryKernelLock({ lockFile, key: 'instance:a', shared: true });
  const c = await tryKernelLock({ lockFile, key: 'instance:c' });
  assert.ok(a && b && c);
  assert.equal(await tryKernelLock({ lockFile, key: 'instance:a' }), undefined);
  await Promise.all([a.release(), b.release(), c.release()]);
});

test('waiting for a lock ends at its time', async () => {
  const request = { lockFile: join(folder, 'locks'), key: 'x' };
  const file = await open(request.lockFile, 'a+');
  await file.close();
  const held = await tryKernelLock(request);
  assert.equal(await waitForKernelLock(request, { timeoutMs: 50 }), undefined);
  await held?.release();
});
