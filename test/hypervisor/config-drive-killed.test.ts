import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConfigDriveContents } from '../../hypervisor/config-drive/contents.ts';
import { writeConfigDrive } from '../../hypervisor/config-drive/write-config-drive.ts';
import { extractDrive, filesOf } from './extract-drive.ts';

type Format = 'iso9660' | 'vfat';

const secret = 'planted-3f1c';
const contents: ConfigDriveContents = {
  spec: {
    id: '5b3c6f0e-0000-4000-8000-00000000abcd',
    name: 'web-1',
    hostname: 'web-1',
    launchIndex: 0,
    project: '',
    availabilityZone: '',
    flavor: 'm1.tiny',
    metadata: {},
    sshKeys: [],
    interfaces: [],
  },
  secrets: {
    userData: Buffer.from(`#!/bin/sh\n# ${secret}\n`).toString('base64'),
    files: [{ path: '/a', base64: Buffer.alloc(64 * 1024, secret).toString('base64') }],
    vendorData: { 'cloud-init': `#cloud-config\n# ${secret}\n` },
  },
};

const writer = new URL('../../hypervisor/config-drive/write-config-drive.ts', import.meta.url).href;
const script = `
  const { writeConfigDrive } = await import(${JSON.stringify(writer)});
  const [destination, contents, settings] = JSON.parse(process.env.ORDER);
  await writeConfigDrive(destination, contents, settings, { signal: new AbortController().signal, onProgress() {} });
`;

/** An xorriso that stops permanently: before its work, or when the image is there. */
async function stoppingXorriso(folder: string, place: 'before' | 'after'): Promise<string> {
  const programs = join(folder, `xorriso-${place}`);
  await mkdir(programs);
  const work = place === 'before' ? '' : 'xorriso "$@"\n';
  await writeFile(join(programs, 'xorriso'), `#!/bin/sh\n${work}touch ${folder}/stopped\nexec sleep 60\n`, {
    mode: 0o755,
  });
  return join(programs, 'xorriso');
}

interface KillOrder {
  readonly format: Format;
  readonly mkisofsCmd: string;
  /** Whether the writer is where it is to be killed. */
  readonly isDue: () => Promise<boolean>;
}

/** Writes a drive in a process of its own, and kills that with -9. */
async function killWhileWriting(t: TestContext, destination: string, { format, mkisofsCmd, isDue }: KillOrder) {
  const order = [destination, contents, { configDriveFormat: format, mkisofsCmd }];
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { ORDER: JSON.stringify(order) },
    stdio: 'ignore',
  });
  const ended = once(child, 'exit');
  t.after(() => child.kill('SIGKILL'));
  while (!(await isDue()) && child.exitCode === null) await sleep(1, undefined, { signal: t.signal });
  child.kill('SIGKILL');
  await ended;
  assert.equal(child.signalCode, 'SIGKILL', 'it was killed before it was done');
}

const filesWithSecret = async (folder: string): Promise<string[]> =>
  [...(await filesOf(folder))].flatMap(([path, bytes]) => (bytes.includes(secret) ? [path] : []));

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** The image in the folder in which it is made, if it is there yet. */
async function imageBeingMade(instance: string): Promise<boolean> {
  const [staging] = await readdir(instance);
  return staging !== undefined && (await isThere(join(instance, staging, 'image')));
}

for (const place of ['xorriso has not started', 'the ISO image is written', 'the vfat image is being made'] as const) {
  test(`killed with -9 when ${place}: no drive, and the second run leaves one and no other secret`, {
    timeout: 300_000,
  }, async (t) => {
    const folder = await mkdtemp('/var/tmp/everboot-test-killed-');
    t.after(() => rm(folder, { recursive: true, force: true }));
    const instance = join(folder, 'instance');
    await mkdir(instance);
    const destination = join(instance, 'disk.config');
    const format = place.includes('vfat') ? 'vfat' : 'iso9660';
    const isDue = () => (format === 'vfat' ? imageBeingMade(instance) : isThere(join(folder, 'stopped')));
    const mkisofsCmd = await stoppingXorriso(folder, place.startsWith('xorriso') ? 'before' : 'after');
    await killWhileWriting(t, destination, { format, mkisofsCmd, isDue });

    const [staging = '', ...others] = await readdir(instance);
    assert.deepEqual(others, [], 'nothing but what it was made in');
    assert.match(staging, /^disk\.config\..+\.everboot-tmp$/);
    assert.equal((await stat(join(instance, staging))).mode & 0o777, 0o700, 'which nobody else can enter');
    assert.ok((await filesWithSecret(instance)).length > 0, 'and in which the secrets lie');

    const settings = { configDriveFormat: format, mkisofsCmd: 'xorriso' } as const;
    const control = { signal: t.signal, onProgress: () => undefined };
    await writeConfigDrive(destination, contents, settings, control);
    assert.deepEqual(await filesWithSecret(instance), ['disk.config']);
    assert.deepEqual(await readdir(instance), ['disk.config']);
    await extractDrive(destination, format, join(folder, 'tree'));
    const written = await readFile(join(folder, 'tree/openstack/content/0000'));
    assert.ok(written.equals(Buffer.alloc(64 * 1024, secret)), 'the drive is whole');
  });
}
