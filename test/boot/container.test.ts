import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { chmod, copyFile, lstat, mkdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isThere } from '../../hypervisor/files/small-file.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';
import { stateDirectory } from '../fixtures/state-directory.ts';
import { startPrivateLibvirt } from '../private-libvirt.ts';

const busybox = join(stateDirectory(), 'guest/root/bin/busybox');
const timeoutMs = 60_000;

const sshKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMoSW69KH7F76XKmBFTAdiWaFKSfGiQGLupNKWk0jVEo test';

/** The first program of the container: reports who it is and what it sees, then waits to be ended. */
const init = `#!/bin/busybox sh
/bin/busybox id -u > /seen
echo "$container" >> /seen
/bin/busybox ls -di / >> /seen
while :; do /bin/busybox sleep 1; done
`;

/** The smallest tree that runs. */
async function makeTree(tree: string): Promise<void> {
  for (const name of ['bin', 'sbin', 'dev', 'proc', 'sys', 'etc', 'run', 'root'])
    await mkdir(join(tree, name), { recursive: true });
  await copyFile(busybox, join(tree, 'bin/busybox'));
  await chmod(join(tree, 'bin/busybox'), 0o4755);
  await symlink('busybox', join(tree, 'bin/sh'));
  await symlink('/etc/shadow', join(tree, 'etc/host-shadow'));
  await writeFile(join(tree, 'sbin/init'), init, { mode: 0o755 });
}

/** Whether this machine's kernel and libvirt run a container at all, found out with one that is nobody's. */
async function runsContainers(uri: string, folder: string): Promise<boolean> {
  const tree = join(folder, 'probe');
  await makeTree(tree);
  const name = `probe-${randomUUID().slice(0, 8)}`;
  const xml = `<domain type='lxc'><name>${name}</name><memory unit='MiB'>64</memory><os><type>exe</type>
    <init>/sbin/init</init></os><devices><filesystem type='mount'><source dir='${tree}'/><target dir='/'/></filesystem>
    <console type='pty'/></devices></domain>`;
  await writeFile(join(folder, 'probe.xml'), xml);
  const virsh = (...args: string[]) => runProgram('virsh', ['-c', uri, ...args], { timeoutMs });
  try {
    await virsh('create', join(folder, 'probe.xml'));
    await virsh('destroy', name);
    return true;
  } catch {
    return false;
  }
}

async function startContainerHost(t: TestContext): Promise<RunningEverboot | undefined> {
  const daemon = await startPrivateLibvirt(t);
  if (daemon === undefined) return undefined;
  if (!(await isThere(busybox))) {
    t.skip('there are no parts for a guest');
    return undefined;
  }
  const up = await startEverboot({
    command: 'up',
    environment: {
      EVERBOOT_LIBVIRT_VIRT_TYPE: 'lxc',
      EVERBOOT_LIBVIRT_CONNECTION_URI: daemon.containersUri,
      EVERBOOT_LIBVIRT_INJECT_PARTITION: '-1',
      EVERBOOT_LIBVIRT_INJECT_KEY: 'true',
      EVERBOOT_GLANCE_ALLOW_UNVERIFIED: 'true',
    },
  });
  t.after(() => up.stop());
  if (await runsContainers(daemon.containersUri, up.folder)) return up;
  t.skip('libvirt cannot run a container on this machine');
  return undefined;
}

async function until(path: string): Promise<string> {
  const deadline = Date.now() + 60_000;
  while (!(await isThere(path))) {
    assert.ok(Date.now() < deadline, `${path} did not appear within a minute`);
    await sleep(200);
  }
  return await readFile(path, 'utf8');
}

test('an image boots as a real container, from a folder that nobody but root can enter', {
  timeout: 280_000,
}, async (t) => {
  const up = await startContainerHost(t);
  if (up === undefined) return;
  const tree = join(up.folder, 'tree');
  await makeTree(tree);
  const image = join(up.folder, 'container.raw');
  await runProgram('mkfs.ext4', ['-q', '-E', 'root_owner=0:0', '-d', tree, image, '48M'], { timeoutMs });
  await rm(tree, { recursive: true });

  const flavor = { vcpus: 1, memoryMb: 128, rootGb: 0, ephemeralGb: 0, swapMb: 0 };
  const spec = { name: 'box', flavor, image: { file: image, format: 'raw' }, configDrive: false, sshKeys: [sshKey] };
  const { code, document } = await up.json(['create', '-f', '-'], spec);
  assert.equal(code, 0, JSON.stringify(document));
  assert.equal(document.state, 'running');
  const root = join(document.directory, 'rootfs');

  const [user, kind, inode] = (await until(join(root, 'seen'))).split('\n');
  assert.deepEqual([user, kind], ['0', 'lxc-libvirt'], 'its init runs');
  assert.equal(Number.parseInt(inode ?? '', 10), (await stat(root)).ino, 'and its root is the folder');

  const keys = await readFile(join(root, 'root/.ssh/authorized_keys'), 'utf8');
  assert.ok(keys.includes(sshKey), 'what was injected into the disk is in the folder');

  const modeOf = async (path: string) => (await lstat(path)).mode & 0o7777;
  assert.equal(await modeOf(join(root, 'bin/busybox')), 0o4755, 'programs are what they were');
  assert.equal(await modeOf(document.directory), 0o700, 'where no user of the host finds them');
  const asUser = ['--reuid', '65534', '--clear-groups', '--', 'cat', join(root, 'seen')];
  await assert.rejects(runProgram('setpriv', asUser, { timeoutMs }), { message: /Permission denied/ });
  assert.ok((await lstat(join(root, 'etc/host-shadow'))).isSymbolicLink());

  assert.equal((await up.json(['delete', document.instanceId])).code, 0);
  await assertCleanSlate(up.paths, [document.instanceId]);
  assert.ok(await isThere('/etc/shadow'), 'links of the container’s were not followed');
});
