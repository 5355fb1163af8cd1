import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { sharedServerEnvironment, startTemporalServer } from '../fixtures/temporal-server.ts';

const root = join(import.meta.dirname, '..', '..');

/** A checkout whose only tests are these, by path in test/. */
async function checkoutWith(t: TestContext, tests: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'everboot-suites-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (const name of ['node_modules', 'hypervisor', 'workers', 'domain', 'package.json']) {
    await symlink(join(root, name), join(folder, name));
  }
  for (const name of ['run-suites.ts', 'run-file.ts', 'run-checks.ts', 'runner', 'checks', 'fixtures']) {
    await cp(join(root, 'test', name), join(folder, 'test', name), { recursive: true });
  }
  for (const [path, body] of Object.entries(tests)) {
    await mkdir(join(folder, 'test', path, '..'), { recursive: true });
    await writeFile(join(folder, 'test', path), `import { test } from 'node:test';\n${body}\n`);
  }
  return folder;
}

async function runSuites(t: TestContext, checkout: string, names: readonly string[]) {
  const server = await startTemporalServer();
  t.after(() => server.stop());
  // node:test does not run files for a process that it takes for a test file itself.
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
  const child = spawn(process.execPath, [join(checkout, 'test', 'run-suites.ts'), ...names], {
    env: { ...environment, ...sharedServerEnvironment(server), EVERBOOT_STATE_DIR: join(checkout, 'state') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (piece: Buffer) => (stdout += piece));
  child.stderr.on('data', (piece: Buffer) => (stderr += piece));
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { exitCode, stderr, stdout, lines: stdout.trimEnd().split('\n') };
}

test('a run ends with what passed, failed and was skipped, the reasons before it', async (t) => {
  const checkout = await checkoutWith(t, {
    'domain/some.test.ts': `
      test('passes', () => {});
      test('fails', () => { throw new Error('as it should'); });
      test('cannot run', (t) => t.skip('no such thing here'));`,
    'cli/broken.test.ts': "import './nowhere.ts';",
  });
  const { exitCode, lines, stdout } = await runSuites(t, checkout, ['unit']);
  assert.deepEqual(lines.slice(-2), ['1 skipped', '1 passed, 2 failed'], stdout);
  assert.ok(lines.includes('  cannot run: no such thing here'));
  assert.equal(exitCode, 1);
});

test('a run’s end says of each failed test what happened, and nothing of what workers log', async (t) => {
  const checkout = await checkoutWith(t, {
    'domain/some.test.ts': `
      import { after, describe } from 'node:test';
      describe('a suite', () => {
        after(() => { throw new Error('its end went wrong'); });
        test('fails', () => { throw new Error('as it should'); });
      });`,
    'cli/killed.test.ts': `
      test('is killed', async () => {
        process.stderr.write('last words\\n{"level":30,"msg":"a worker logs"}\\n');
        await new Promise((later) => setTimeout(later, 200));
        process.kill(process.pid, 'SIGKILL');
        await new Promise(() => setInterval(() => {}, 1000));
      });`,
  });
  const { stdout } = await runSuites(t, checkout, ['unit']);
  const [, end = ''] = stdout.split('\nfailed:\n');
  assert.match(end, /^ {2}domain\/some\.test\.ts: a suite, fails\n {4}Error: as it should\n {8}at /m);
  assert.match(end, /^ {2}domain\/some\.test\.ts: a suite\n {4}Error: its end went wrong\n/m);
  const killed =
    '  cli/killed.test.ts: the file itself\n    the process of the file was killed by SIGKILL; its last words:';
  assert.ok(end.includes(`${killed}\n    last words\n`), end);
  assert.doesNotMatch(end, /a worker logs/);
  assert.match(end, /\n0 skipped\n0 passed, 3 failed\n$/);
});

test('a run continues when a process that a file left behind holds its output, ends it, and says so', async (t) => {
  const sleeper = "spawn('sleep', ['600'], { detached: true, stdio: 'inherit' })";
  const checkout = await checkoutWith(t, {
    'domain/leaves.test.ts': `
      import { spawn } from 'node:child_process';
      test('passes', () => ${sleeper}.unref());`,
    'domain/some.test.ts': "test('passes', () => {});",
  });
  const { exitCode, stdout } = await runSuites(t, checkout, ['unit']);
  assert.match(stdout, /domain\/leaves\.test\.ts: the file itself\n.*it left processes behind.*\n +sleep 600\n/);
  assert.match(stdout, /\n2 passed, 1 failed\n$/);
  assert.equal(exitCode, 1);
});

test('a run in which all tests pass exits with 0, and one without tests with 1', async (t) => {
  const checkout = await checkoutWith(t, { 'domain/one.test.ts': "test('passes', () => {});" });
  const passing = await runSuites(t, checkout, ['unit']);
  assert.deepEqual([passing.exitCode, passing.lines.at(-1)], [0, '1 passed, 0 failed']);
  const empty = await runSuites(t, checkout, ['boot']);
  assert.deepEqual([empty.exitCode, empty.lines.at(-1)], [1, '0 passed, 0 failed']);
});

test('a test file that no suite would run is an error', async (t) => {
  const checkout = await checkoutWith(t, { 'elsewhere/lost.test.ts': "test('passes', () => {});" });
  const { exitCode, stderr } = await runSuites(t, checkout, ['unit']);
  assert.equal(exitCode, 1);
  assert.match(stderr, /no suite .* has elsewhere\/lost\.test\.ts/);
});

test('a name that is no suite’s is a mistake of usage', async (t) => {
  const { exitCode, stderr } = await runSuites(t, await checkoutWith(t, {}), ['everything']);
  assert.equal(exitCode, 2);
  assert.match(stderr, /there are check, unit, host, workflows, durability, boot/);
});

test('a run names its slowest files and its seed, keeps their figures, and lists the titles of its tests', async (t) => {
  const checkout = await checkoutWith(t, {
    'domain/computes.test.ts': `
      test('computes', () => { while (process.cpuUsage().user < 1_000_000); });
      test('does not', (t) => t.skip('it need not'));`,
    'cli/waits.test.ts': "test('waits', () => new Promise((later) => setTimeout(later, 2500)));",
    'cli/not-named.test.ts': "test('does not run', () => {});",
  });
  const files = [join(checkout, 'test/domain/computes.test.ts'), 'cli/waits.test.ts'];
  const { exitCode, stdout } = await runSuites(t, checkout, files);
  assert.equal(exitCode, 0, stdout);
  const time = String.raw`\d+\.\d s, CPU \d+\.\d s`;
  const slowest = new RegExp(
    `\n(slowest:\n(?: {2}\\S+: ${time}\n)+)\ntitles: (.*)\nseed: \\d+\n\n1 skipped\n2 passed, 0 failed\n$`,
  );
  const [, lines = '', titles = ''] = slowest.exec(stdout) ?? assert.fail(stdout);
  assert.deepEqual([...lines.matchAll(/ {2}(\S+):/g)].map(([, path]) => path).sort(), [
    'cli/waits.test.ts',
    'domain/computes.test.ts',
  ]);
  assert.equal(
    await readFile(titles, 'utf8'),
    'cli/waits.test.ts: waits\ndomain/computes.test.ts: computes\ndomain/computes.test.ts: does not\n',
  );
  const figures = JSON.parse(await readFile(join(checkout, 'state/tests/figures.json'), 'utf8'));
  const { 'domain/computes.test.ts': computes, 'cli/waits.test.ts': waits } = figures;
  assert.ok(computes.cpuSeconds >= 1 && waits.cpuSeconds < 1 && waits.seconds >= 2.5, JSON.stringify(figures));
});

test('the output of a file that fails is kept, with what its fixtures keep, and its failure says where', async (t) => {
  const checkout = await checkoutWith(t, {
    'domain/fails.test.ts': `
      import { mkdtemp, rm, writeFile } from 'node:fs/promises';
      import { tmpdir } from 'node:os';
      import { join } from 'node:path';
      import { keepEvidence } from '../fixtures/evidence.ts';
      const folder = await mkdtemp(join(tmpdir(), 'everboot-host-'));
      await writeFile(join(folder, 'console.log'), 'a guest’s last words');
      await writeFile(join(folder, 'disk'), Buffer.alloc(2 ** 23));
      await keepEvidence(folder);
      await rm(folder, { recursive: true });
      process.stderr.write('what happened\\n');
      test('fails', () => { throw new Error('as it should'); });`,
    'domain/passes.test.ts': "test('passes', () => {});",
  });
  const { stdout } = await runSuites(t, checkout, ['unit']);
  const [, kept = ''] = /as it should[\s\S]*\n +its output and what its fixtures kept: (.*)\n/.exec(stdout) ?? [];
  assert.match(await readFile(join(kept, 'printed'), 'utf8'), /what happened/);
  const [host = ''] = await readdir(join(kept, 'evidence'));
  assert.deepEqual(await readdir(join(kept, 'evidence', host)), ['console.log'], 'and no disk');
  assert.equal(await readFile(join(kept, 'evidence', host, 'console.log'), 'utf8'), 'a guest’s last words');
  assert.deepEqual(
    (await readdir(join(kept, '..'))).filter((name) => name.endsWith('.test.ts')),
    ['domain.fails.test.ts'],
  );
});
