import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runProgram } from '../../../hypervisor/process/run-program.ts';
import { withGuestfish } from '../../../hypervisor/programs/guestfish.ts';
import { fillFileSystem, makeFailingFolder, mountSmall, unmount } from '../../durability/harness/small-file-systems.ts';
import { guestReader } from '../../fixtures/guest-images.ts';
import { inject, withGuestfishControl } from '../../fixtures/injecting.ts';

const timeoutMs = 60_000;
let folder: string;
let failing: Awaited<ReturnType<typeof makeFailingFolder>>;
before(async () => {
  folder = await mkdtemp('/var/tmp/everboot-test-failing-');
  await chmod(folder, 0o711);
  failing = await makeFailingFolder(folder);
});
after(async () => {
  await failing.unmount();
  await rm(folder, { recursive: true, force: true });
});

async function makeDisk(path: string): Promise<string> {
  await writeFile(path, '');
  await truncate(path, 64 * 2 ** 20);
  await runProgram('mkfs.ext4', ['-q', '-F', path], { timeoutMs });
  return path;
}

test('what the appliance could not write back is a failure of the host’s disk, though umount says nothing', async () => {
  const path = await makeDisk(join(failing.directory, 'silent'));
  const write = (meanwhile: () => Promise<void>): Promise<void> =>
    withGuestfishControl(folder, (control) =>
      withGuestfish({ path, format: 'raw' }, control, async ({ run }) => {
        await run('mount', '/dev/sda', '/');
        await run('write', '/note', 'kept');
        await meanwhile();
      }),
    );
  await assert.rejects(
    write(() => failing.break()),
    { code: 'HostIoError' },
  );
  await failing.mend();
  await write(async () => undefined);
  assert.equal(await guestReader(path).text('/note'), 'kept');
});

test('on a failing disk nothing is blamed on the image', async () => {
  const path = await makeDisk(join(failing.directory, 'broken'));
  const contents = { metadata: { role: 'web' } };
  await failing.break();
  await assert.rejects(inject(folder, { path, format: 'raw' }, 'disk', contents), { code: 'HostIoError' });
  await failing.mend();
  assert.deepEqual((await inject(folder, { path, format: 'raw' }, 'disk', contents)).injected, ['metadata']);
  assert.equal(await guestReader(path).text('/meta.js'), '{"role":"web"}');
});

test('a host without room for what is injected is full, and does not keep the appliance waiting', async (t) => {
  const small = join(folder, 'small');
  await mountSmall(small, 16);
  t.after(() => unmount(small));
  const path = await makeDisk(join(small, 'disk'));
  await mkdir(join(small, '.everboot'));
  await fillFileSystem(small);
  const large = { files: [{ path: '/large', base64: Buffer.alloc(2 ** 20, 'x').toString('base64') }] };
  await assert.rejects(inject(folder, { path, format: 'raw' }, 'disk', large), { code: 'InsufficientSpace' });
});
