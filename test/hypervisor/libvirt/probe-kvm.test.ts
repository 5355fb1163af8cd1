import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isThere, listFolder } from '../../../hypervisor/files/small-file.ts';
import { resolveCacheMode } from '../../../hypervisor/host/cache-mode.ts';
import { makeConsoleLog } from '../../../hypervisor/instance/console-log.ts';
import { bootSector, bootSectorSuccess, resolveVirtType } from '../../../hypervisor/libvirt/probe-kvm.ts';
import { runProgram } from '../../../hypervisor/process/run-program.ts';

const folder = await mkdtemp('/var/tmp/everboot-test-probe-');
after(() => rm(folder, { recursive: true, force: true }));
const { signal } = new AbortController();
const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();

async function keptAnswer(stateDirectory: string): Promise<unknown> {
  return JSON.parse(await readFile(join(stateDirectory, 'virt-type.json'), 'utf8'));
}

test('a configured type is taken as it is, without a probe', async () => {
  assert.equal(await resolveVirtType('kvm', '/nonexistent', signal), 'kvm');
  for (const type of ['qemu', 'lxc', 'uml'] as const) {
    assert.equal(await resolveVirtType(type, '/nonexistent', signal), type);
  }
});

test('an answer of this boot is believed, one of an earlier boot is not', async (t) => {
  if (!(await isThere('/dev/kvm'))) return t.skip('there is no /dev/kvm, so nothing is probed');
  const state = await mkdtemp(join(folder, 'state-'));
  await writeFile(join(state, 'virt-type.json'), JSON.stringify({ bootId, virtType: 'kvm' }));
  assert.equal(await resolveVirtType('auto', state, signal), 'kvm');

  await writeFile(join(state, 'virt-type.json'), JSON.stringify({ bootId: 'earlier', virtType: 'kvm' }));
  const virtType = await resolveVirtType('auto', state, signal);
  assert.deepEqual(await keptAnswer(state), { bootId, virtType });
});

test('callers at the same time get one answer, and one who gives up does not take it from the others', async (t) => {
  if (!(await isThere('/dev/kvm'))) return t.skip('there is no /dev/kvm, so nothing is probed');
  const state = await mkdtemp(join(folder, 'state-'));
  const givesUp = new AbortController();
  const first = resolveVirtType('auto', state, givesUp.signal);
  const second = resolveVirtType('auto', state, signal);
  givesUp.abort(new Error('given up'));
  await assert.rejects(first, /given up/);
  assert.ok(['kvm', 'qemu'].includes(await second));
});

test('the boot sector reaches its end on a machine that works', async () => {
  const disk = join(folder, 'boot-sector');
  await writeFile(disk, bootSector());
  const machine = ['-nodefaults', '-display', 'none', '-no-reboot', '-M', 'pc', '-accel', 'tcg', '-m', '32'];
  const drive = ['-drive', `file=${disk},format=raw,if=ide`, '-device', 'isa-debug-exit,iobase=0xf4,iosize=1'];
  const running = runProgram('qemu-system-x86_64', [...machine, ...drive], { timeoutMs: 120_000 });
  await assert.rejects(running, new RegExp(`exit status ${bootSectorSuccess}:`));
});

test('a file system that takes O_DIRECT gets the cache mode none, one that does not gets writeback', async () => {
  const refuses = await runProgram('dd', ['if=/dev/zero', `of=${folder}/x`, 'bs=4096', 'count=1', 'oflag=direct'], {
    timeoutMs: 10_000,
  }).then(
    () => false,
    () => true,
  );
  await rm(join(folder, 'x'), { force: true });
  const names = await listFolder(folder);
  assert.equal(await resolveCacheMode(folder), refuses ? 'writeback' : 'none');
  assert.deepEqual(await listFolder(folder), names, 'the file that was tried is gone');
});

test('a console log is empty, not for everybody to read, and kept when it is there', async () => {
  const path = join(folder, 'console.log');
  await makeConsoleLog(path);
  assert.equal((await stat(path)).mode & 0o777, 0o660);
  await writeFile(path, 'login:');
  await makeConsoleLog(path);
  assert.equal(await readFile(path, 'utf8'), 'login:');
});
