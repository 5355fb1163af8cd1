import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { backingChain } from '../../../hypervisor/image-store/maintenance/backing-chain.ts';
import { listCache } from '../../../hypervisor/image-store/maintenance/list-cache.ts';
import { scrubCache } from '../../../hypervisor/image-store/maintenance/scrub-cache.ts';
import { sweepCache } from '../../../hypervisor/image-store/maintenance/sweep-cache.ts';
import type { StoreMaintenance } from '../../../hypervisor/image-store/store-settings.ts';
import { closeLibvirt } from '../../../hypervisor/libvirt/libvirt.ts';
import { runProgram } from '../../../hypervisor/process/run-program.ts';
import { named, putBase, swept, testCache } from '../../fixtures/test-cache.ts';
import { startPrivateLibvirt } from '../../private-libvirt.ts';

after(closeLibvirt);

const control = { signal: AbortSignal.timeout(120_000), onProgress: () => undefined };

async function directoryIn({ paths }: StoreMaintenance, name: string = randomUUID()): Promise<string> {
  const directory = join(paths.instances, name);
  await mkdir(directory, { recursive: true });
  return directory;
}

async function overlay(path: string, backing: string, format = 'raw'): Promise<void> {
  const args = ['create', '-q', '-u', '-f', 'qcow2', '-F', format, '-b', backing, path, '1M'];
  await runProgram('qemu-img', args, { timeoutMs: 120_000 });
}

/** The header of a qcow2 on a file of that name, as a guest may write it into its raw disk. */
function header(backing: string): Buffer {
  const bytes = Buffer.alloc(4096);
  bytes.write('QFI\xfb', 'latin1');
  bytes.writeUInt32BE(3, 4);
  bytes.writeBigUInt64BE(512n, 8);
  bytes.writeUInt32BE(Buffer.byteLength(backing), 16);
  bytes.write(backing, 512);
  return bytes;
}

test('however a backing file is named, it is found: absolute, relative, file: and json:', async (t) => {
  const maintenance = await testCache(t);
  const base = await putBase(maintenance.paths, named('a'));
  const directory = await directoryIn(maintenance);
  const options = JSON.stringify({ driver: 'raw', file: { driver: 'file', filename: base } });
  for (const name of [base, `../_base/${named('a')}`, `file:${base}`, `json:${options}`]) {
    const disk = join(directory, `disk.${randomUUID()}`);
    await overlay(disk, name);
    assert.deepEqual(await backingChain(disk), [base], name);
  }
});

test('disks are found among many files, deep down, behind links, and beside the instances', async (t) => {
  const maintenance = await testCache(t);
  const { paths } = maintenance;
  for (const letter of 'abcde') await putBase(paths, named(letter));
  const crowded = await directoryIn(maintenance);
  for (let index = 0; index < 200; index += 1) await writeFile(join(crowded, `a${index}`), 'x');
  await overlay(join(crowded, 'zz'), join(paths.cache, named('a')));
  await overlay(join(await directoryIn(maintenance, 'snapshots/tmpabc'), 'x.delta'), join(paths.cache, named('b')));
  const elsewhere = await directoryIn({
    ...maintenance,
    paths: { ...paths, instances: join(paths.instances, '..', 'other') },
  });
  await overlay(join(elsewhere, 'disk'), join(paths.cache, named('c')));
  await symlink(elsewhere, join(paths.instances, randomUUID()));
  await overlay(join(paths.instances, 'by-hand.qcow2'), join(paths.cache, named('d')));
  assert.deepEqual(await swept(maintenance), [named('e')]);
});

test('a guest’s invention in its raw disk at most keeps a file, and stops neither sweep nor scrub', {
  timeout: 300_000,
}, async (t) => {
  const maintenance = await testCache(t);
  const { paths } = maintenance;
  for (const letter of 'ab') await putBase(paths, named(letter));
  const directory = await directoryIn(maintenance);
  const pipe = join(directory, 'pipe');
  await runProgram('mkfifo', [pipe], { timeoutMs: 120_000 });
  const inventions = [
    ...['/dev/zero', '/dev/kmsg', '/proc/kmsg', '/proc/self/mem', pipe, paths.cache, '/etc/hostname/x', 'json:{{{'],
    ...[`${paths.cache}/${'long'.repeat(240)}`, `${paths.cache}/..`, '../../..', 'disk0', '\0', 'nbd://10.0.0.1/x'],
  ];
  for (const [index, name] of inventions.entries()) await writeFile(join(directory, `disk${index}`), header(name));
  const lengths = header('x');
  lengths.writeUInt32BE(0xffffffff, 16);
  await writeFile(join(directory, 'disk.long'), lengths);
  await writeFile(join(directory, 'disk.far'), header('x').fill(0xff, 8, 16));
  await writeFile(join(directory, 'disk.short'), header('x').subarray(0, 19));
  await writeFile(join(directory, 'disk.used'), header(join(paths.cache, named('a'))));
  const report = await sweepCache(maintenance, { dryRun: false }, control);
  assert.deepEqual([report.removed.map(({ name }) => name), report.notes], [[named('b')], []]);
  const { damaged, checkedFiles } = await scrubCache(maintenance, { names: null, force: true }, control);
  assert.deepEqual([damaged, checkedFiles], [[], 1]);
});

test('headers that name each other come to an end, and so does a long chain', async (t) => {
  const maintenance = await testCache(t);
  const directory = await directoryIn(maintenance);
  const [one, other] = [join(directory, 'one'), join(directory, 'other')];
  await writeFile(one, header(other));
  await writeFile(other, header(one));
  assert.deepEqual(await backingChain(one), [other, one]);
  for (let index = 0; index < 20; index += 1) await writeFile(join(directory, `c${index}`), header(`c${index + 1}`));
  assert.equal((await backingChain(join(directory, 'c0'))).length, 8);
});

test('no image is removed while a disk on the host cannot be read', async (t) => {
  const maintenance = await testCache(t);
  await putBase(maintenance.paths, named('a'));
  const directory = await directoryIn(maintenance);
  await symlink('disk', join(directory, 'disk'));
  const { removed, notes } = await sweepCache(maintenance, { dryRun: false }, control);
  assert.deepEqual(removed, []);
  assert.match(notes.join(), /no image was removed, because the disks of the host were not all read: ELOOP/);
});

test('what only a libvirtd’s domain names is used: disk, chain, kernel, ramdisk; none is removed when it is killed', {
  timeout: 300_000,
}, async (t) => {
  const libvirt = await startPrivateLibvirt(t);
  if (libvirt === undefined) return;
  const maintenance = { ...(await testCache(t)), connectionUri: libvirt.uri };
  const { paths } = maintenance;
  for (const letter of 'abcdef') await putBase(paths, named(letter));
  const id = randomUUID();
  const outside = join(paths.instances, '..', `a&b's`);
  await mkdir(outside);
  await overlay(join(outside, 'disk'), join(paths.cache, named('a')));
  const disk = join(outside, 'disk').replace('&', '&amp;').replace("'", '&apos;');
  const xml = `<domain type='test'><name>${id}</name><uuid>${id}</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu>
    <os><type>hvm</type><kernel>${paths.cache}/${named('b')}</kernel><initrd>${paths.cache}/${named('c')}</initrd></os>
    <devices>
      <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${disk}'/><target dev='vda'/></disk>
      <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/nowhere/x'/>
        <backingStore type='file'><format type='raw'/><source file='${paths.cache}/${named('d')}'/></backingStore>
        <target dev='vdb'/></disk>
      <disk type='file' device='cdrom'><source file='${paths.cache}/${named('e')}'/><target dev='sda'/></disk>
    </devices></domain>`;
  const file = join(paths.instances, '..', 'domain.xml');
  await writeFile(file, xml);
  const define = async (): Promise<void> => {
    // This driver forgets everything when the last connection to it is closed, so that one has to be open before.
    await listCache(maintenance);
    await runProgram('virsh', ['-c', libvirt.uri, 'define', file], { timeoutMs: 120_000 });
  };
  await define();
  const { files } = await listCache(maintenance);
  const used = files.filter(({ users }) => users.includes(id)).map(({ name }) => name);
  assert.deepEqual(used.sort(), [...'abcde'].map(named));
  await libvirt.kill();
  assert.deepEqual(await swept(maintenance), []);
  await libvirt.start();
  await define();
  assert.deepEqual(await swept(maintenance), [named('f')]);
});

test('a file that a domain names as other tools write it is used: numeric references, a pool and its volume', {
  timeout: 300_000,
}, async (t) => {
  const libvirt = await startPrivateLibvirt(t);
  if (libvirt === undefined) return;
  const maintenance = { ...(await testCache(t)), connectionUri: libvirt.uri };
  const { paths } = maintenance;
  for (const letter of 'abcd') await putBase(paths, named(letter));
  const virsh = async (...args: string[]): Promise<void> => {
    await runProgram('virsh', ['-c', libvirt.uri, ...args], { timeoutMs: 120_000 });
  };
  // This driver forgets everything when the last connection to it is closed, so that one has to be open before.
  await listCache(maintenance);
  await virsh('pool-create-as', 'bases', 'dir', '--target', paths.cache);
  await virsh('vol-create-as', 'bases', named('b'), '1M');
  const id = randomUUID();
  const folder = paths.cache.replaceAll('/', '&#x2F;').replaceAll('_', '&#95;');
  const file = join(paths.instances, '..', 'domain.xml');
  const define = async (volume: string): Promise<void> => {
    await writeFile(
      file,
      `<domain type='test'><name>${id}</name><uuid>${id}</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu>
    <os><type>hvm</type><kernel>${folder}/${named('c')}</kernel></os>
    <devices>
      <disk type='file' device='disk'><source file='${folder}/${named('a')}'/><target dev='vda'/></disk>
      <disk type='volume' device='disk'><source volume='${volume}' pool='bases'/><target dev='vdb'/></disk>
    </devices></domain>`,
    );
    await virsh('define', file);
  };
  await define('nobody-knows-it');
  const { removed, notes } = await sweepCache(maintenance, { dryRun: false }, control);
  assert.deepEqual(removed, [], 'a volume whose file is not known may be any base');
  assert.match(notes.join(), /nobody-knows-it/);
  await define(named('b'));
  assert.deepEqual(await swept(maintenance), [named('d')]);
});
