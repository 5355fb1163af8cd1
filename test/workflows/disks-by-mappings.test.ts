import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdir, rm } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { type InstanceResult, instanceWorkflowId } from '../../domain/operations.ts';
import { startTestHost, type TestHost } from '../fixtures/test-host.ts';

let host: TestHost;
before(async () => {
  const toml = `
    [libvirt]
    virt_mkfs = ["windows=mkfs.ext3 -q -F -L own-%(fs_label)s %(target)s"]`;
  host = await startTestHost({ toml });
});
after(() => host?.stop());

async function build(fields: Record<string, unknown>): Promise<InstanceResult> {
  const { spec } = await host.create({
    flavor: { vcpus: 1, memoryMb: 128, rootGb: 0, ephemeralGb: 3, swapMb: 64 },
    ...{ boot: 'disks', configDrive: false, ...fields },
  });
  return await host.client.workflow.getHandle(instanceWorkflowId(spec.id)).result();
}

/** The findings of a probe on each disk, as the guest would see it: its type and its label. */
async function contents({ disks, directory }: InstanceResult): Promise<string[]> {
  const found: string[] = [];
  for (const { name, path, format } of disks) {
    const view = `${directory}/view`;
    execFileSync('qemu-img', ['convert', '-f', format, '-O', 'raw', path, view]);
    const tags = execFileSync('blkid', ['-p', '-o', 'export', view], { encoding: 'utf8' });
    const tag = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(tags)?.[1] ?? '-';
    found.push(`${name} ${tag('TYPE')} ${tag('LABEL')}`);
    await rm(view);
  }
  return found;
}

test('every ephemeral disk of a spec has its own file system and label, and the swap its size', async () => {
  const ephemerals = [{ sizeGb: 1 }, { sizeGb: 1, fileSystem: 'xfs' }, { sizeGb: 1, fileSystem: 'vfat' }];
  const made = await build({ ephemerals, swap: { sizeMb: 32 } });
  assert.deepEqual(await contents(made), [
    'disk.eph0 ext4 ephemeral0',
    'disk.eph1 xfs ephemeral1',
    'disk.eph2 vfat ephemeral2',
    'disk.swap swap -',
  ]);
  assert.equal(made.disks.at(-1)?.virtualSizeBytes, 32 * 2 ** 20);
});

test('two ephemeral disks of one size and file system share no base, since their labels differ', async () => {
  await rm(host.paths.cache, { recursive: true });
  const made = await build({ ephemerals: [{ sizeGb: 1 }, { sizeGb: 1 }], swap: { sizeMb: 32 } });
  assert.deepEqual((await contents(made)).slice(0, 2), ['disk.eph0 ext4 ephemeral0', 'disk.eph1 ext4 ephemeral1']);
  assert.equal((await readdir(host.paths.cache)).filter((name) => name.startsWith('ephemeral_1_')).length, 2);
});

test('the host’s own command for the os type formats the disks, whatever file system the spec names', async () => {
  const ephemerals = [{ sizeGb: 1, fileSystem: 'xfs' }];
  const made = await build({ osType: 'windows', ephemerals });
  assert.equal((await contents(made))[0], 'disk.eph0 ext3 own-ephemeral0');
});

test('disks that the flavor has no room for are refused before anything is made', async () => {
  const making = build({ ephemerals: [{ sizeGb: 2 }, { sizeGb: 2 }] });
  await assert.rejects(making, ({ cause }: { cause: Error }) =>
    /larger disks than its flavor/.test(String(cause?.cause ?? cause)),
  );
});
