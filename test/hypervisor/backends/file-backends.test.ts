import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hostPaths } from '../../../domain/host-paths.ts';
import type { BackendContext } from '../../../hypervisor/backends/disk-backend.ts';
import { prepareFolders } from '../../../hypervisor/host/prepare-host.ts';
import { testConfiguration } from '../../fixtures/test-host.ts';
import { type BackendUnderTest, backendContract } from './contract.ts';

for (const format of ['raw', 'qcow2'] as const) backendContract(format, () => fileBackend(format));

async function fileBackend(format: 'raw' | 'qcow2'): Promise<BackendUnderTest> {
  const folder = await mkdtemp('/var/tmp/everboot-files-');
  const { libvirt: settings } = await testConfiguration(folder, 'files', `[libvirt]\nimages_type = "${format}"\n`);
  const small = join(folder, 'small');
  await mkdir(small);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'none', small]);
  const newInstance = async (place = folder): Promise<BackendContext> => {
    const paths = hostPaths(join(place, 'instances'), '_base');
    await prepareFolders(paths);
    const claim = { instanceId: randomUUID(), operationId: randomUUID() };
    const directory = `${paths.instances}/${claim.instanceId}`;
    await mkdir(directory);
    return { claim, paths, directory, preallocate: 'none', heldLocks: [] };
  };
  return {
    settings,
    kept: { format },
    newInstance: () => newInstance(),
    guestView: async ({ path }, into) => {
      const view = join(into, `view-${randomUUID()}`);
      execFileSync('qemu-img', ['convert', '-f', format, '-O', 'raw', path, view]);
      return view;
    },
    leftOf: async ({ directory }) => await readdir(directory).catch(() => []),
    removeDirectory: ({ directory }) => rm(directory, { recursive: true, force: true }),
    // An overlay takes its room only if the whole disk is reserved at once.
    newInstanceWithoutRoom: async () => {
      return { context: { ...(await newInstance(small)), preallocate: 'space' }, settings };
    },
    xmlOfRoot: /^file <source file='\/[^']*\/disk'\/>/,
    stop: async () => {
      execFileSync('umount', [small]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
