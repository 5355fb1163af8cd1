import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LibvirtSettings } from '../../../domain/configuration.ts';
import { hostPaths } from '../../../domain/host-paths.ts';
import type { BackendContext } from '../../../hypervisor/backends/disk-backend.ts';
import { readConfiguration } from '../../../workers/configuration.ts';
import type { BackendUnderTest } from '../backends/contract.ts';
import { makeVolumeGroup, run, type TestVolumeGroup } from './volume-group.ts';

/** The data of another tenant. */
export const staleText = 'another tenant’s secret';

export interface LvmUnderTest extends BackendUnderTest {
  readonly group: TestVolumeGroup;
  readonly folder: string;
}

/** Settings of a host with logical volumes in that group. */
export async function lvmSettings(group: string, isThin: boolean, toml = ''): Promise<LibvirtSettings> {
  const text = `[libvirt]\nimages_type = "lvm"\nimages_volume_group = "${group}"\nsparse_logical_volumes = ${isThin}\n${toml}`;
  return (await readConfiguration({ text, environment: {} })).libvirt;
}

/** A group with room for some disks, and one with hardly any. */
export async function startLvm({ isThin }: { isThin: boolean }): Promise<LvmUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), 'everboot-lvm-'));
  const group = makeVolumeGroup(400);
  const small = makeVolumeGroup(64);
  if (isThin) {
    makePool(group.name, '320M');
    makePool(small.name, '32M');
  }
  const newInstance = async (): Promise<BackendContext> => {
    const claim = { instanceId: randomUUID(), operationId: randomUUID() };
    const directory = join(folder, claim.instanceId);
    await mkdir(directory);
    return { claim, paths: hostPaths(folder, '_base'), directory, preallocate: 'none', heldLocks: [] };
  };
  return {
    group,
    folder,
    settings: await lvmSettings(group.name, isThin),
    kept: { format: 'raw', storage: 'lvm' },
    newInstance,
    guestView: async ({ path }) => path,
    leftOf: async ({ claim: { instanceId } }) =>
      [...group.volumes(), ...small.volumes()]
        .filter(({ name, tags }) => name.startsWith(instanceId) || tags.includes(instanceId))
        .map(({ name }) => name.replace(`${instanceId}_`, '')),
    removeDirectory: ({ directory }) => rm(directory, { recursive: true, force: true }),
    newInstanceWithoutRoom: async () => {
      return { context: await newInstance(), settings: await lvmSettings(small.name, isThin) };
    },
    xmlOfRoot: /^block <source dev='\/dev\/everboot-test-[0-9a-f]+\/[0-9a-f-]{36}_disk'\/>/,
    async stop() {
      group.remove();
      small.remove();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A thin pool that reports its end at once, and not after a minute in which an operator might have made it larger. */
export function makePool(group: string, size: string): void {
  run('lvm', ['lvcreate', '-qq', '--yes', '--type', 'thin-pool', '-L', size, '-n', 'pool', group]);
  run('lvm', ['lvchange', '-qq', '--errorwhenfull', 'y', `${group}/pool`]);
}
