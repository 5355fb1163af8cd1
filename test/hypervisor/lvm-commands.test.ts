import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { testThrough } from '../fixtures/inner-tests.ts';

/** lvm2 then keeps the books of volumes and leaves the kernel alone. */
const withoutDevices = 'global { activation = 0 }\n';

/** In a mount namespace of its own, so that the machine's LVM stays as it is. */
const withOwnSettings = `mount --bind "$1" /etc/lvm/lvmlocal.conf && shift && exec "$@"`;

test('lvm2’s commands, on a real volume group without device mapper', async (t) => {
  const folder = await mkdtemp('/var/tmp/everboot-lvm-');
  t.after(() => rm(folder, { recursive: true, force: true }));
  const settings = join(folder, 'lvmlocal.conf');
  await writeFile(settings, withoutDevices);
  const wrapper = ['unshare', '--mount', '--', 'sh', '-c', withOwnSettings, 'sh', settings];
  await testThrough(t, wrapper, join(import.meta.dirname, 'lvm', 'metadata-commands.ts'));
});
