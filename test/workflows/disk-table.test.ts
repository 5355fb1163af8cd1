import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startCeph } from '../fixtures/ceph.ts';
import { cephToml } from '../fixtures/ceph-host.ts';
import { cephReader, makeTableImages, type TableImage, tableRows } from '../fixtures/disk-table.ts';
import { startTestHost } from '../fixtures/test-host.ts';

const page = new URL('../../docs/disks.md', import.meta.url);

/** How hosts keep disks, and what the table says in front of each of its rows. */
const kinds = [
  { title: '`raw`, `flat`, `default` without `use_cow_images`', options: 'images_type = "raw"' },
  { title: '', options: 'images_type = "flat"' },
  { title: '', options: 'use_cow_images = false' },
  { title: '`qcow2`, `default`', options: 'images_type = "qcow2"' },
  { title: '', options: '' },
  { title: '`qcow2`, `config_drive_format = "vfat"`', options: '[config_drive]\nconfig_drive_format = "vfat"' },
  { title: '`qcow2` without `force_raw_images`', options: 'images_type = "qcow2"\nforce_raw_images = false' },
] as const;

let folder: string;
let images: readonly TableImage[];
before(async () => {
  folder = await mkdtemp('/var/tmp/everboot-table-');
  await chmod(folder, 0o711);
  await mkdir(join(folder, 'cd'));
  await writeFile(join(folder, 'cd', 'readme'), 'a CD');
  images = await makeTableImages(join(folder, 'images'));
});
after(() => rm(folder, { recursive: true, force: true }));

async function assertDocumented(rows: readonly string[]): Promise<void> {
  const documented = (await readFile(page, 'utf8')).split('\n');
  const missing = rows.filter((row) => !documented.includes(row));
  assert.deepEqual(missing, [], `docs/disks.md lacks\n${missing.join('\n')}`);
}

let above = '';
for (const { title, options } of kinds) {
  if (title !== '') above = title;
  const section = above;
  test(`docs/disks.md says what is made under ${options.replace('\n', ', ') || 'nothing configured'}`, async () => {
    const host = await startTestHost({ toml: `[libvirt]\n${options}\n`, imageRoots: [folder] });
    try {
      await assertDocumented(await tableRows(host, section, images));
    } finally {
      await host.stop();
    }
  });
}

test('docs/disks.md says what is made in a Ceph pool', async () => {
  const ceph = await startCeph();
  const host = await startTestHost({ toml: cephToml(ceph), imageRoots: [folder] });
  try {
    const kind = '`rbd`';
    await assertDocumented(await tableRows(host, kind, images.slice(0, 2), cephReader(ceph, folder)));
  } finally {
    await host.stop();
    await ceph.stop();
  }
});
