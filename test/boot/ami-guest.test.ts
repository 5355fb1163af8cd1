import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { domainState } from '../../hypervisor/libvirt/libvirt.ts';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { startGlance, type TestGlance } from '../fixtures/glance.ts';
import { untilReported } from '../fixtures/guest-console.ts';
import { type GuestParts, makeGuestParts } from '../fixtures/guest-parts.ts';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';

let glance: TestGlance;
let up: RunningEverboot;
let parts: GuestParts;
before(async () => {
  glance = await startGlance();
  const toml = `[glance]\napi_servers = ["${glance.endpoint}"]\nallow_unverified = true\n`;
  up = await startEverboot({ command: 'up', toml });
  parts = await makeGuestParts(join(up.folder, 'parts'));
});
after(async () => {
  await up?.stop();
  await glance?.stop();
});

const flavor = { vcpus: 1, memoryMb: 256, rootGb: 1, ephemeralGb: 0, swapMb: 0 };

async function create(spec: Record<string, unknown>): Promise<{ instanceId: string; directory: string; disks: any[] }> {
  const { code, document } = await up.json(['create', '-f', '-'], { flavor, ...spec });
  assert.equal(code, 0, JSON.stringify(document));
  return document;
}

async function remove(instanceId: string): Promise<void> {
  assert.equal((await up.json(['delete', instanceId])).code, 0);
  await assertCleanSlate(up.paths, [instanceId]);
}

test('a guest boots from the kernel and the ramdisk that its spec names, with Nova’s command line', async () => {
  const { kernel, ramdisk, root } = parts;
  const made = await create({
    name: 'ami-by-spec',
    image: { file: root, format: 'ami' },
    kernel: { file: kernel, format: 'aki' },
    ramdisk: { file: ramdisk, format: 'ari' },
  });
  const names = made.disks.map(({ name }) => name).sort();
  assert.deepEqual(names, ['disk', 'disk.config', 'kernel', 'ramdisk']);
  const { text, disks, hostname } = await untilReported(made.directory);
  const line = 'root=/dev/vda console=tty0 console=ttyS0 console=hvc0 no_timer_check';
  assert.ok(text.includes(`Command line: ${line}`), 'the kernel says so');
  assert.equal(disks.find(({ name }) => name === 'vda')?.label, 'cloudimg-rootfs', 'the whole disk is its root');
  assert.equal(hostname, 'ami-by-spec');
  await remove(made.instanceId);
});

test('a guest boots as the properties of its image say: kernel, ramdisk, command line, UEFI, q35, buses', async () => {
  const upload = (path: string, format: string, extra: Record<string, string> = {}) =>
    glance.upload(path, { name: format, disk_format: format, container_format: format, extra });
  const [kernel_id, ramdisk_id] = [await upload(parts.kernel, 'aki'), await upload(parts.ramdisk, 'ari')];
  const image = await upload(parts.root, 'ami', {
    kernel_id,
    ramdisk_id,
    os_command_line: 'console=ttyS0 everboot.said=yes',
    hw_machine_type: 'q35',
    hw_firmware_type: 'uefi',
    hw_disk_bus: 'scsi',
    hw_cdrom_bus: 'scsi',
    hw_qemu_guest_agent: 'yes',
  });
  const made = await create({ name: 'ami-by-image', image: { glance: image } });
  const { text, disks, hostname } = await untilReported(made.directory);
  assert.match(text, /Command line: (initrd=initrd )?console=ttyS0 everboot\.said=yes/);
  assert.match(text, /efi: EFI v/, 'the kernel was started by UEFI');
  assert.match(text, /Q35/, 'on a q35');
  assert.equal(disks.find(({ name }) => name === 'sda')?.label, 'cloudimg-rootfs');
  assert.equal(disks.find(({ name }) => name === 'sr0')?.label, 'config-2');
  assert.equal(hostname, 'ami-by-image');
  await remove(made.instanceId);
  assert.equal(await domainState('qemu:///system', made.instanceId), null, 'its firmware variables do not keep it');
});
