import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Host } from '../../activities/context/host.ts';
import { defineDomain, startDomain } from '../../activities/define-domain.ts';
import type { PlannedVolume } from '../../domain/disk-plan.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { hostPaths } from '../../domain/host-paths.ts';
import { prepareFolders } from '../../hypervisor/host/prepare-host.ts';
import { closeLibvirt } from '../../hypervisor/libvirt/libvirt.ts';
import { activityOfRunningOperation } from '../fixtures/activity-environment.ts';
import { testConfiguration } from '../fixtures/test-host.ts';

let folder: string;
let host: Host;
let loop: string;
let device: string;

before(async () => {
  folder = await mkdtemp('/var/tmp/everboot-again-');
  await mkdir(join(folder, 'devices'));
  await writeFile(join(folder, 'disk'), '');
  await truncate(join(folder, 'disk'), 64 * 2 ** 20);
  loop = execFileSync('losetup', ['--find', '--show', join(folder, 'disk')], { encoding: 'utf8' }).trim();
  device = join(folder, 'devices', 'data');
  const toml = `[host]\nvolume_device_roots = ["${folder}/devices"]\n`;
  const configuration = await testConfiguration(folder, 'test', toml);
  const paths = hostPaths(configuration.host.instancesPath, '_base');
  await prepareFolders(paths);
  host = { configuration, paths, stateDirectory: folder };
});
after(async () => {
  await closeLibvirt();
  execFileSync('losetup', ['--detach', loop]);
  await rm(folder, { recursive: true, force: true });
});

test('a volume that has become another disk or the host’s own since it was planned stops the domain', async () => {
  const place = { device: 'vdb', bus: 'virtio', deviceType: 'disk', boot: false, readOnly: false } as const;
  const volumes: readonly PlannedVolume[] = [{ kind: 'volume', source: { block: device }, ...place }];
  const claim = { instanceId: crypto.randomUUID(), operationId: crypto.randomUUID() };
  const refused = async (words: RegExp) => {
    for (const step of [defineDomain, startDomain]) {
      const running = activityOfRunningOperation().run(() => step(host, { claim, volumes }));
      await assert.rejects(
        running,
        (error) => error instanceof EverbootFailure && error.code === 'HostUnsuitable' && words.test(error.message),
      );
    }
  };
  await refused(/is not there/);
  await symlink('/dev/null', device);
  await refused(/is no block device/);
  await unlink(device);
  await symlink(loop, device);
  execFileSync('mkswap', ['-q', loop]);
  execFileSync('swapon', [loop]);
  try {
    await refused(/is a swap area/);
  } finally {
    execFileSync('swapoff', [loop]);
  }
  // What is left then is what the steps themselves say: nothing was reserved, so there is no XML and no domain.
  const defining = activityOfRunningOperation().run(() => defineDomain(host, { claim, volumes }));
  await assert.rejects(defining, /ENOENT.*libvirt\.xml/);
});
