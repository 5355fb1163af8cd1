import assert from 'node:assert/strict';
import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeQcow2Image } from '../fixtures/images.ts';
import { startEverboot } from '../fixtures/running-everboot.ts';

const flavor = { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 1, swapMb: 16 };

test('the disks of User Mode Linux are raw files of root’s, on its own bus', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('a worker that is not root makes no files of root’s');
  const up = await startEverboot({
    command: 'up',
    environment: { EVERBOOT_LIBVIRT_VIRT_TYPE: 'uml', EVERBOOT_LIBVIRT_IMAGES_TYPE: 'raw' },
  });
  t.after(() => up.stop());
  const { path, digest } = await makeQcow2Image(up.folder);
  const spec = { name: 'in-user-mode', flavor, image: { file: path, digest, format: 'qcow2' }, boot: 'disks' };
  const { code, document } = await up.json(['create', '-f', '-'], spec);
  assert.equal(code, 0, JSON.stringify(document));
  for (const { name, path: disk, format } of document.disks) {
    assert.equal((await lstat(disk)).uid, 0, name);
    assert.equal(format, 'raw', name);
  }
  const xml = await readFile(join(document.directory, 'libvirt.xml'), 'utf8');
  assert.match(xml, /<domain type='uml'>[\s\S]*<kernel>\/usr\/bin\/linux<\/kernel>\s*<root>\/dev\/ubda<\/root>/);
  const devices = [...xml.matchAll(/<target dev='(\w+)' bus='uml'\/>/g)].map(([, device]) => device);
  assert.deepEqual(devices, ['ubda', 'ubdb', 'ubdc', 'ubdd']);
  assert.equal((await up.json(['delete', document.instanceId])).code, 0);
});
