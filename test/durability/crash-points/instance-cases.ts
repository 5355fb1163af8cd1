import { mkdir, writeFile } from 'node:fs/promises';
import type { Host } from '../../../activities/context/host.ts';
import type { Claim } from '../../../domain/claim.ts';
import type { InstancePlan } from '../../../domain/operations.ts';
import { parseSpec } from '../../../domain/parse-spec.ts';
import { planDisks } from '../../../domain/plan-disks.ts';
import { prepareFolders } from '../../../hypervisor/host/prepare-host.ts';
import { promiseSpace } from '../../../hypervisor/space/space-ledger.ts';
import { claim, crashHost, crashHostWithInstance, directoryOf, putBaseImage, undo, undoAll } from './crash-hosts.ts';
import type { CrashCase } from './lane.ts';

const flavor = { name: 'inline', vcpus: 1, memoryMb: 128, rootGb: 0, ephemeralGb: 0, swapMb: 64 };
const { spec: parsed } = parseSpec({
  ...{ id: claim.instanceId, name: 'web-1', flavor: 'm1.tiny', boot: 'disks' },
  ...{ userData: '#!/bin/sh\n', metadata: { role: 'web' } },
});
const spec = { ...parsed, secrets: {} };

function planOn(host: Host): InstancePlan {
  const settings = { ...host.configuration.libvirt, ...host.configuration.configDrive };
  const nothing = { rootImage: null, hasKernel: false, hasRamdisk: false, osType: 'linux', suffix: '' } as const;
  const disks = planDisks({ spec, flavor, settings, ...nothing });
  const boot = { define: false, start: false };
  return {
    claim,
    directory: directoryOf(host),
    disks,
    bases: [],
    growFileSystem: false,
    injection: null,
    ...boot,
  };
}

const reservation: CrashCase = {
  ...{ module: 'reserve-instance', name: 'reserveInstance' },
  prepare: (folder) => crashHost(folder),
  order: (host) => ({ request: { claim, spec, flavor, specDigest: 'digest' }, plan: planOn(host) }),
  async undo(host) {
    // As every worker does when it starts, and so the one that runs the undo.
    await prepareFolders(host.paths);
    await undo(host);
  },
};

/** An instance with everything that one has: disks, a folder, a base of its own, promised space. */
export async function wholeInstance(folder: string, of: Claim = claim): Promise<Host> {
  const host = await crashHostWithInstance(folder, '', of);
  await putBaseImage(host, of);
  const directory = directoryOf(host, of);
  await mkdir(`${directory}/folder`);
  for (const name of ['disk', 'disk.config', 'folder/file']) await writeFile(`${directory}/${name}`, 'content');
  await promiseSpace(host.paths, {
    claim: of,
    purpose: 'disk-disk',
    path: `${directory}/disk`,
    bytes: 1,
    reservedBytes: 0,
  });
  return host;
}

const earlier: Claim = { ...claim, operationId: '5b3c6f0e-0000-4000-8000-00000000ea17' };

function configDrive(format: string): CrashCase {
  const disk = { kind: 'config', name: 'disk.config', format: 'raw', device: 'hdd', bus: 'ide', deviceType: 'cdrom' };
  return {
    ...{ module: 'write-config-drive', name: 'writeConfigDrive', undo },
    async prepare(folder) {
      const host = await crashHostWithInstance(folder);
      const configuration = { ...host.configuration, configDrive: { ...host.configuration.configDrive } };
      Object.assign(configuration.configDrive, { configDriveFormat: format });
      return { ...host, configuration };
    },
    order: () => ({ claim, disk, spec, disks: { root: null, ephemerals: [], swap: null } }),
  };
}

/** The steps that take an instance's directory, write its small files and remove it, each with what it finds. */
export const instanceCases = {
  'the reservation of the directory on a new host': reservation,
  'the reservation of a directory that an earlier operation left': {
    ...reservation,
    prepare: (folder) => wholeInstance(folder, earlier),
    // Killed early, it leaves the earlier operation's files, which are not its own to take back.
    undo: undoAll,
  },
  'the record that says ready': {
    ...{ module: 'mark-ready', name: 'markReady', prepare: (folder) => wholeInstance(folder) },
    order: (host) => ({ claim, result: { instanceId: claim.instanceId, directory: directoryOf(host), disks: [] } }),
    undo: undoAll,
  },
  'an ISO config drive': configDrive('iso9660'),
  'a vfat config drive': configDrive('vfat'),
  'an undo': {
    ...{ module: 'release-instance', name: 'releaseInstance', prepare: (folder) => wholeInstance(folder), undo },
    order: () => ({ claim }),
  },
  'a deletion': {
    ...{ module: 'delete-instance', name: 'deleteFiles', prepare: (folder) => wholeInstance(folder) },
    order: () => ({ instanceId: claim.instanceId }),
    undo: undoAll,
  },
} satisfies Record<string, CrashCase>;
