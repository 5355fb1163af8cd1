import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EverbootFailure, type FailureCode } from '../../domain/failures.ts';
import type { ProgramEnd } from '../../domain/program-end.ts';
import { type ProgramOptions, runProgram } from '../../hypervisor/process/run-program.ts';
import { lvmComplaint, missingGroup } from '../../hypervisor/programs/lvm-words.ts';
import { isImageAtFault } from '../../hypervisor/programs/qemu-img-words.ts';
import { freePort } from '../fixtures/free-port.ts';

let folder: string;
let silent: Server;
let silentPort: number;
before(async () => {
  folder = await mkdtemp('/var/tmp/everboot-ends-');
  await writeFile(join(folder, 'disk'), '');
  await truncate(join(folder, 'disk'), 2 ** 24);
  silentPort = await freePort();
  // A monitor that takes the connection and says nothing.
  silent = createServer().listen(silentPort, '127.0.0.1');
});
after(async () => {
  silent?.close();
  await rm(folder, { recursive: true, force: true });
});

/** The code that a program's end has, and its facts. */
async function endOf(
  program: string,
  args: readonly string[],
  options: Partial<ProgramOptions> = {},
): Promise<{ code: FailureCode; end: ProgramEnd }> {
  const failure = await runProgram(program, args, { timeoutMs: 120_000, ...options }).then(
    () => assert.fail(`${program} ${args.join(' ')} ended well`),
    (error: unknown) => error,
  );
  assert.ok(failure instanceof EverbootFailure && failure.program !== undefined, String(failure));
  return { code: failure.code, end: failure.program };
}

/**
 * The programs whose ends decide something, each at a work that does not end by itself, and asked for more than fits.
 */
const programs: Record<string, { readonly works: () => readonly string[]; readonly prints: readonly string[] }> = {
  'qemu-img': {
    works: () => ['bench', '-f', 'raw', '-c', '2000000000', '-s', '512', join(folder, 'disk')],
    prints: ['--help'],
  },
  // A shell of its own, which waits for commands.
  lvm: { works: () => [], prints: ['help'] },
  rbd: { works: () => ['ls', '--mon-host', `127.0.0.1:${silentPort}`, '--conf', '/dev/null'], prints: ['help'] },
  guestfish: { works: () => [], prints: ['--help'] },
};

/** The process that runs a program for this test. */
async function childOf(program: string): Promise<number> {
  for (;;) {
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      const [words = '', stat = ''] = await Promise.all(
        ['cmdline', 'stat'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')),
      );
      const [, parent] = stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
      if (words.split('\0')[0] === program && Number(parent) === process.pid) return Number(pid);
    }
    await sleep(10);
  }
}

for (const [program, { works, prints }] of Object.entries(programs)) {
  test(`${program} that somebody killed is a host’s failure, and its end says by which signal`, async () => {
    const ending = endOf(program, works(), { input: new PassThrough() });
    process.kill(await childOf(program), 'SIGKILL');
    const { code, end } = await ending;
    const { stderrTail: _, ...facts } = end;
    assert.deepEqual([code, facts], ['HostIoError', { program, exitCode: null, signal: 'SIGKILL', cut: null }]);
  });

  test(`${program} that was ended for its time says so`, async () => {
    const { code, end } = await endOf(program, works(), { input: new PassThrough(), timeoutMs: 1000 });
    const { stderrTail: _, ...facts } = end;
    assert.deepEqual([code, facts], ['ProgramTimedOut', { program, exitCode: null, signal: 'SIGKILL', cut: 'time' }]);
  });

  test(`${program} that was ended for its output says so`, async () => {
    const { code, end } = await endOf(program, prints, { maxOutputBytes: 20 });
    assert.deepEqual([code, end.program, end.cut], ['ProgramFailed', program, 'output']);
  });
}

test('a program that fails by itself says its status and its last words, and no more of them than a history takes', async () => {
  const { code, end } = await endOf('sh', ['-c', 'seq 1000 >&2; echo it broke >&2; exit 3']);
  assert.equal(code, 'ProgramFailed');
  assert.ok(end.stderrTail.endsWith('1000\nit broke') && end.stderrTail.length === 600, end.stderrTail);
  assert.deepEqual({ ...end, stderrTail: '' }, { program: 'sh', exitCode: 3, signal: null, stderrTail: '', cut: null });
});

test('a program that ends by a signal of its own says which, but for one that a shell has looked after', async () => {
  const { code, end } = await endOf('sh', ['-c', 'kill -SEGV $$']);
  assert.deepEqual([code, end.exitCode, end.signal], ['ProgramFailed', null, 'SIGSEGV']);
  const finished = (await endOf('sh', ['-c', 'kill -SEGV $$'], { mustFinish: true })).end;
  assert.deepEqual([finished.exitCode, finished.signal], [139, null]);
  assert.equal(lvmComplaint(finished), 'passing', 'as lvm2 ends when it crashes');
});

test('qemu-img is at odds with an image, or with the host', async () => {
  const isAtFault = async (...args: readonly string[]) => isImageAtFault((await endOf('qemu-img', args)).end);
  const disk = join(folder, 'disk');
  assert.equal(await isAtFault('info', '-f', 'qcow2', disk), true);
  assert.equal(await isAtFault('info', '-f', 'raw', join(folder, 'absent')), false);
  assert.equal(await isAtFault('convert', '-f', 'raw', '-O', 'raw', disk, join(folder, 'absent', 'disk')), false);
  const limited = await endOf(
    'qemu-img',
    ['convert', '-S', '0', '-f', 'raw', '-O', 'raw', disk, join(folder, 'copy')],
    {
      limits: { fileSizeBytes: 2 ** 20 },
    },
  );
  assert.deepEqual([limited.code, isImageAtFault(limited.end)], ['ProgramFailed', true]);
  const talkative = await endOf('qemu-img', ['--help'], { maxOutputBytes: 20 });
  assert.equal(isImageAtFault(talkative.end), true);
});

test('lvm2 names the volume group that is not there', async () => {
  const { code, end } = await endOf('lvm', ['vgs', 'everboot-none']);
  assert.deepEqual([code, missingGroup(end), lvmComplaint(end)], ['ProgramFailed', 'everboot-none', null]);
});
