import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { realpathSync } from 'node:fs';
import { access, chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';

const root = join(import.meta.dirname, '..', '..');
const script = join(root, 'everboot');

/** The programs that the script needs of any system, whatever its packages are. */
const basicPrograms = ['sh', 'readlink', 'id', 'sha256sum', 'find', 'mkdir', 'flock', 'tail', 'env', 'sleep'];

// Where both are one folder, a path without programs cannot be made.
const skip = realpathSync('/usr/sbin') === realpathSync('/usr/bin') && 'this system has /usr/sbin in /usr/bin';

interface Machine {
  readonly folder: string;
  /** Puts a program of these lines on the machine's path. */
  add(name: string, lines: string): Promise<void>;
  run(args: readonly string[], options?: { file?: string; cwd?: string }): Promise<Ended>;
}

interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A machine with few programs on its path and a state folder of its own. */
async function bareMachine(t: TestContext): Promise<Machine> {
  const folder = await mkdtemp(join(tmpdir(), 'everboot-setup-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const programs = join(folder, 'bin');
  await mkdir(programs);
  for (const name of basicPrograms) await symlink(join('/usr/bin', name), join(programs, name));
  return {
    folder,
    async add(name, lines) {
      await rm(join(programs, name), { force: true });
      await writeFile(join(programs, name), `#!/bin/sh\n${lines}\n`);
      await chmod(join(programs, name), 0o755);
    },
    async run(args, { file = script, cwd = folder } = {}) {
      const env = { PATH: programs, HOME: folder, EVERBOOT_STATE_DIR: join(folder, 'state') };
      const child = spawn(file, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 });
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (piece: Buffer) => (stdout += piece));
      child.stderr.on('data', (piece: Buffer) => (stderr += piece));
      const [exitCode] = (await once(child, 'close')) as [number | null];
      return { exitCode, stdout, stderr };
    },
  };
}

test('help comes from any folder and through a symbolic link, and leaves no state folder', async (t) => {
  const machine = await bareMachine(t);
  const file = join(machine.folder, 'link');
  await symlink(script, file);
  const { exitCode, stdout } = await machine.run(['demo', '--help'], { file, cwd: '/' });
  assert.match(stdout, /demo/);
  assert.equal(exitCode, 0);
  await assert.rejects(access(join(machine.folder, 'state')), { code: 'ENOENT' });
});

test('what a command does not need is not asked for', async (t) => {
  const machine = await bareMachine(t);
  const { exitCode, stdout } = await machine.run(['schema', 'spec']);
  assert.equal(exitCode, 0);
  assert.equal(typeof JSON.parse(stdout), 'object');
});

test('where the system is not Debian, the script names the missing packages and stops', { skip }, async (t) => {
  const machine = await bareMachine(t);
  const { exitCode, stdout, stderr } = await machine.run(['worker']);
  assert.equal(exitCode, 1);
  assert.equal(stdout, '');
  assert.match(stderr, /^ {2}qemu-utils +makes and converts disks$/m);
  assert.match(stderr, /not Debian or Ubuntu/);
});

test('without root and sudo, the script prints the command that root has to run', { skip }, async (t) => {
  const machine = await bareMachine(t);
  await machine.add('apt-get', 'echo "nobody may call it" >&2; exit 1');
  await machine.add('id', 'echo 1000');
  const { exitCode, stderr } = await machine.run(['image', 'inspect', 'nothing.qcow2']);
  assert.equal(exitCode, 1);
  assert.match(stderr, /As root, run: apt-get install --no-install-recommends qemu-utils$/m);
  assert.doesNotMatch(stderr, /nobody may call it/);
});

test('a missing package is installed without a question where stdin is no terminal', { skip }, async (t) => {
  const machine = await bareMachine(t);
  const calls = join(machine.folder, 'calls');
  await machine.add('id', 'echo 0');
  await machine.add('apt-get', `echo "$@" >>${calls}`);
  const { exitCode, stderr } = await machine.run(['image', 'inspect', 'nothing.qcow2']);
  const [update, install, ...more] = (await readFile(calls, 'utf8')).trimEnd().split('\n');
  assert.match(update ?? '', / update$/);
  assert.match(install ?? '', / install -y --no-install-recommends qemu-utils$/);
  assert.deepEqual(more, []);
  assert.equal(exitCode, 2, `the command line continues, and misses the file: ${stderr}`);
});

test('a package that cannot be installed ends the script with the installer’s last words', { skip }, async (t) => {
  const machine = await bareMachine(t);
  await machine.add('id', 'echo 0');
  await machine.add('apt-get', 'echo "E: the mirror has burnt down" >&2; exit 100');
  const { exitCode, stdout, stderr } = await machine.run(['image', 'inspect', 'nothing.qcow2']);
  assert.equal(exitCode, 1);
  assert.equal(stdout, '');
  assert.match(stderr, /the mirror has burnt down/);
});

test('two set-ups of one state folder take turns', { skip }, async (t) => {
  const machine = await bareMachine(t);
  const calls = join(machine.folder, 'calls');
  await machine.add('id', 'echo 0');
  await machine.add('apt-get', `echo begin >>${calls}; sleep 0.2; echo end >>${calls}`);
  await Promise.all([1, 2].map(() => machine.run(['image', 'inspect', 'nothing.qcow2'])));
  const turns = (await readFile(calls, 'utf8')).trimEnd().split('\n');
  assert.deepEqual(turns, Array.from({ length: 4 }, () => ['begin', 'end']).flat());
});
