import assert from 'node:assert/strict';
import { copyFile, lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { findGuestKernel } from '../../cli/demo/guest-modules.ts';
import type { BootMode } from '../../domain/spec.ts';
import { makeQcow2Image, makeRawImage } from '../fixtures/images.ts';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';
import { stateDirectory } from '../fixtures/state-directory.ts';

let up: RunningEverboot;
before(async () => {
  up = await startEverboot({ command: 'up', toml: '[glance]\nallow_unverified = true\n' });
});
after(() => up?.stop());

/** The group that QEMU runs as; where a distribution has none of these names, the log stays the worker's own. */
const guestGroups = ['libvirt-qemu', 'qemu', 'kvm'];

async function namesById(file: string): Promise<Map<number, string>> {
  const lines = (await readFile(file, 'utf8')).split('\n').map((line) => line.split(':'));
  return new Map(lines.map(([name = '', , id]) => [Number(id), name]));
}

/** "0640 root:root" of every file in a directory and of itself, with the accounts' names. */
async function ownersIn(directory: string): Promise<Record<string, string>> {
  const [users, groups] = [await namesById('/etc/passwd'), await namesById('/etc/group')];
  const found: Record<string, string> = {};
  for (const name of ['.', ...(await readdir(directory)).toSorted()]) {
    const { mode, uid, gid } = await lstat(join(directory, name));
    found[name] = `${(mode & 0o7777).toString(8).padStart(4, '0')} ${users.get(uid)}:${groups.get(gid)}`;
  }
  return found;
}

async function guestGroup(): Promise<string> {
  const present = new Set((await namesById('/etc/group')).values());
  return guestGroups.find((name) => present.has(name)) ?? 'root';
}

const disks = ['disk', 'disk.config', 'disk.local', 'disk.swap', 'kernel', 'ramdisk'];

/** The expected owner and mode of each file in an instance's directory. */
async function expectedOwners(boot: BootMode): Promise<Record<string, string>> {
  const group = await guestGroup();
  // libvirt gives QEMU's user what a guest opens when it starts; the modes stay what they are.
  const diskOwner = boot === 'running' ? `${group}:${group}` : 'root:root';
  return {
    '.': '0711 root:root',
    'console.log': `0660 root:${group}`,
    'everboot.json': '0640 root:root',
    'libvirt.xml': '0640 root:root',
    ...Object.fromEntries(disks.map((name) => [name, `0640 ${diskOwner}`])),
    'disk.config': `0600 ${diskOwner}`,
  };
}

for (const boot of ['disks', 'defined', 'running'] as const) {
  test(`every file of an instance that is "${boot}" has its mode, its owner and its group`, async (t) => {
    if (process.getuid?.() !== 0) return t.skip('only root’s worker can give files away');
    const image = await makeQcow2Image(up.folder, `${boot}.qcow2`);
    const ramdisk = await makeRawImage(up.folder, `${boot}.ramdisk`, 65_536);
    // QEMU starts nothing that is no kernel.
    const { kernel } = await findGuestKernel(join(stateDirectory(), 'guest', 'root'));
    await copyFile(kernel, join(up.folder, 'kernel'));
    const { code, document } = await up.json(['create', '-f', '-'], {
      name: `modes-${boot}`,
      flavor: { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 1, swapMb: 16 },
      image: { file: image.path, digest: image.digest, format: 'qcow2' },
      kernel: { file: join(up.folder, 'kernel'), format: 'aki' },
      ramdisk: { file: ramdisk.path, digest: ramdisk.digest, format: 'ari' },
      boot,
    });
    t.after(() => up.json(['delete', document.instanceId]));
    assert.equal(code, 0, JSON.stringify(document));
    assert.deepEqual(await ownersIn(document.directory), await expectedOwners(boot));
  });
}
