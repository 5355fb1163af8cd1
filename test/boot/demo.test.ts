import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { listFolder } from '../../hypervisor/files/small-file.ts';
import { findTemporalCli } from '../../workers/temporal-server.ts';
import { domainIds } from '../fixtures/clean-slate.ts';
import { stateDirectory } from '../fixtures/state-directory.ts';
import { plantBundle } from '../fixtures/test-bundle.ts';

const main = new URL('../../cli/everboot.ts', import.meta.url).pathname;
const folder = await mkdtemp('/var/tmp/everboot-test-demo-');
await chmod(folder, 0o711);
// What was set up for the tests, in a state folder of this test's own.
for (const name of ['guest', 'bin']) await symlink(join(stateDirectory(), name), join(folder, name));
await plantBundle(folder);
after(() => rm(folder, { recursive: true, force: true }));

/** Why the demo cannot run here; undefined: it can. */
async function obstacle(): Promise<string | undefined> {
  if ((await listFolder(join(folder, 'guest', 'root', 'boot'))).length === 0) return 'there are no parts for a guest';
  if ((await findTemporalCli(folder, process.env.PATH ?? '')) === null) return 'there is no Temporal CLI';
  return await domainIds().then(
    () => undefined,
    () => 'libvirt does not answer',
  );
}

interface DemoRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the demo to its end; a Ctrl-C is sent as soon as it has said the given words. */
async function runDemo(interruptAt?: string): Promise<DemoRun> {
  const { GLANCE_URL: _glance, TEMPORAL_ADDRESS: _temporal, ...environment } = process.env;
  const child = spawn(process.execPath, [main, 'demo', '--json'], {
    env: { ...environment, EVERBOOT_STATE_DIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { stdout: '', stderr: '' };
  let interrupted = false;
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].on('data', (piece) => {
      said[name] += piece;
      if (interruptAt === undefined || interrupted || !said.stderr.includes(interruptAt)) return;
      interrupted = true;
      child.kill('SIGINT');
    });
  }
  const [code] = await once(child, 'close');
  return { code, ...said };
}

/** The instance's id is in the command that the demo says it runs to delete it. */
async function assertNothingIsLeft({ stderr }: DemoRun): Promise<void> {
  const [, id = ''] = /everboot delete ([0-9a-f-]{36})/.exec(stderr) ?? [];
  assert.notEqual(id, '', stderr);
  assert.ok(!(await domainIds()).includes(id), 'no domain');
  const names = await listFolder(join(folder, 'demo'));
  assert.ok(!names.includes('instances'), 'no instances, and no cache');
  assert.ok(!names.includes('up.json'), 'no `up` runs');
}

async function skipUnlessPossible(t: TestContext): Promise<boolean> {
  const reason = await obstacle();
  if (reason !== undefined) t.skip(reason);
  return reason === undefined;
}

test('the demo boots a guest that sees what it was asked for, and leaves nothing', { timeout: 300_000 }, async (t) => {
  if (!(await skipUnlessPossible(t))) return;
  const run = await runDemo();
  assert.equal(run.code, 0, run.stderr);
  const { name, guest, ui, kept } = JSON.parse(run.stdout);
  assert.equal(guest.hostname, name);
  assert.match(ui, /^http:\/\/127\.0\.0\.1:\d+$/);
  assert.equal(kept, null);
  await assertNothingIsLeft(run);
});

test('a Ctrl-C while the guest boots deletes it, and exits with 130', { timeout: 300_000 }, async (t) => {
  if (!(await skipUnlessPossible(t))) return;
  const run = await runDemo('waiting for the guest');
  assert.equal(run.code, 130, run.stderr);
  assert.equal(run.stdout, '');
  await assertNothingIsLeft(run);
});

test('a Ctrl-C in the middle of the build deletes it, and exits with 130', { timeout: 300_000 }, async (t) => {
  if (!(await skipUnlessPossible(t))) return;
  const run = await runDemo('Building');
  assert.equal(run.code, 130, run.stderr);
  assert.equal(run.stdout, '');
  await assertNothingIsLeft(run);
});
