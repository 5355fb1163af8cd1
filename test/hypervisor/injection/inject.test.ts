import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { EverbootFailure } from '../../../domain/failures.ts';
import { runProgram } from '../../../hypervisor/process/run-program.ts';
import { createOverlay } from '../../../hypervisor/programs/qemu-img.ts';
import { guestReader, guestTree, makeGuestImage, makePartitionedImage } from '../../fixtures/guest-images.ts';
import { file, inject } from '../../fixtures/injecting.ts';

const folder = await mkdtemp('/var/tmp/everboot-test-inject-');
after(() => rm(folder, { recursive: true, force: true }));
const control = { signal: new AbortController().signal, onProgress: () => undefined };
const timeoutMs = 60_000;

const key = 'ssh-ed25519 AAAAC3Nza alice@example';
/** Names that would run a program of the host, if guestfish saw them bare. */
const oddNames = [
  `/opt/a\n!touch ${folder}/canary\n`,
  `/opt/" | touch ${folder}/canary`.replaceAll(`${folder}/`, ''),
  '/opt/<! id >/ $(id) `id` # ~ * ünï\u{1f980} \\x41',
];

async function asRaw(disk: string): Promise<string> {
  await runProgram('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', disk, `${disk}.raw`], { timeoutMs });
  await runProgram('e2fsck', ['-f', '-n', `${disk}.raw`], { timeoutMs });
  return `${disk}.raw`;
}

test('an overlay gets everything, as Nova leaves it', async () => {
  const base = await makeGuestImage(join(folder, 'base'), {
    files: {
      ...guestTree,
      'root/.ssh/authorized_keys': 'ssh-rsa AAAAB3old',
      'etc/selinux/config': 'SELINUX=enforcing\n',
      'etc/rc.d/x': '',
      'etc/motd': 'an older and longer text\n',
    },
  });
  const path = join(folder, 'disk');
  const backing = { backingFile: base, backingFormat: 'raw', clusterSizeBytes: null } as const;
  await createOverlay({ path, ...backing, sizeBytes: 128 * 2 ** 20, heldLocks: [] }, control);
  const contents = {
    sshKeys: [key, `${key}2`],
    interfaces: 'auto lo\n',
    metadata: { role: 'web "1"' },
    adminPassword: 'pässword',
    files: [
      file('/etc/motd', 'new\n'),
      file('/srv/deep/down/secret', '\0\xff binary', '600'),
      file('/etc/network/interfaces', 'files win\n'),
      ...oddNames.map((name) => file(name, name)),
    ],
  };
  const report = await inject(folder, { path, format: 'qcow2' }, 'disk', contents);
  assert.deepEqual(report, {
    injected: ['ssh keys', 'network interfaces', 'metadata', 'admin password', 'files'],
    warnings: [],
  });
  const guest = guestReader(await asRaw(path));
  assert.equal(
    await guest.text('/root/.ssh/authorized_keys'),
    `ssh-rsa AAAAB3old\n# These ssh keys were injected by everboot\n${key}\n${key}2\n`,
  );
  assert.equal(await guest.facts('/root/.ssh'), '0700 0:0 directory');
  assert.equal(await guest.facts('/root/.ssh/authorized_keys'), '0600 0:0 regular');
  assert.match(await guest.text('/etc/rc.d/rc.local'), /^#!\/bin\/sh\n# Added.*\nrestorecon -RF \/root\/\.ssh .*\n$/);
  assert.equal(await guest.facts('/etc/rc.d/rc.local'), '0700 0:0 regular');
  assert.equal(await guest.text('/meta.js'), '{"role":"web \\"1\\""}');
  assert.equal(await guest.text('/etc/motd'), 'new\n');
  assert.equal(await guest.text('/etc/network/interfaces'), 'files win\n');
  assert.equal(await guest.facts('/srv/deep/down/secret'), '0600 0:0 regular');
  assert.equal(await guest.facts('/srv/deep/down'), '0744 0:0 directory');
  assert.deepEqual(
    (await guest.list('/etc')).filter((name) => name.includes('everboot')),
    [],
  );
  assert.equal((await guest.list('/opt')).length, oddNames.length);
  assert.equal(await guest.facts('/etc/shadow'), '0640 0:0 regular', 'its mode stays');
  const [daemon, root = ''] = (await guest.text('/etc/shadow')).split('\n');
  assert.equal(daemon, 'daemon:*:19000:0:99999:7:::');
  const [, hash = '', ...others] = root.split(':');
  assert.equal(others.join(':'), '19000:0:99999:7:::');
  const [, , salt = ''] = hash.split('$');
  const again = ['passwd', '-6', '-stdin', '-salt', salt];
  const { stdout } = await runProgram('openssl', again, { timeoutMs, input: 'pässword\n' });
  assert.equal(hash, stdout.trim());
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.includes('canary') || name.includes('tmp')),
    [],
  );
});

test('an operating system is found by looking for it', async () => {
  const plain = await makeGuestImage(join(folder, 'plain'));
  const path = await makePartitionedImage(join(folder, 'partitioned'), plain);
  const contents = { files: [file('/by-inspection', 'x')], metadata: { a: 'b' } };
  const report = await inject(folder, { path, format: 'raw' }, 'inspect', contents);
  assert.deepEqual(report, { injected: ['metadata', 'files'], warnings: [] });
  assert.equal(await guestReader(path, 2 * 2 ** 20).text('/by-inspection'), 'x');
});

test('a disk without a file system is a final failure that names the image, where files were to be injected', async () => {
  const path = join(folder, 'garbage');
  await writeFile(path, Buffer.alloc(8 * 2 ** 20, 'garbage'));
  const injecting = inject(folder, { path, format: 'raw' }, 'inspect', { files: [file('/etc/my-secret', 'x')] });
  await assert.rejects(injecting, (error: unknown) => {
    assert.ok(error instanceof EverbootFailure);
    assert.equal(error.code, 'ImageUnacceptable');
    assert.equal(
      error.message,
      'files cannot be injected into the image the-image: no operating system is found in it',
    );
    return true;
  });
});

test('what is not mandatory is a warning, and nothing at all starts no appliance', async () => {
  const report = await inject(folder, { path: join(folder, 'garbage'), format: 'raw' }, 'disk', {
    sshKeys: [key],
    metadata: { a: 'b' },
  });
  assert.deepEqual(report.injected, []);
  assert.match(report.warnings.join(), /^nothing was injected: .*mount/);
  assert.deepEqual(await inject(folder, { path: join(folder, 'absent'), format: 'raw' }, 'disk', {}), {
    injected: [],
    warnings: [],
  });
});
