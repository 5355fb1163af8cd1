import { mkdir } from 'node:fs/promises';
import type { Host } from '../../activities/context/host.ts';
import type { Claim } from '../../domain/claim.ts';
import { hostPaths } from '../../domain/host-paths.ts';
import type { InstanceRecord } from '../../domain/instance-record.ts';
import { prepareFolders } from '../../hypervisor/host/prepare-host.ts';
import { writeInstanceRecord } from '../../hypervisor/instance/instance-record.ts';
import { testConfiguration } from '../fixtures/test-host.ts';

/** A host in a new folder that makes such disks; more lines may follow of its `[libvirt]`. */
export async function hostThatMakes(folder: string, imagesType: string, more = ''): Promise<Host> {
  await mkdir(folder);
  const configuration = await testConfiguration(folder, 'test', `[libvirt]\nimages_type = "${imagesType}"\n${more}`);
  const paths = hostPaths(configuration.host.instancesPath, '_base');
  await prepareFolders(paths);
  return { configuration, paths, stateDirectory: folder };
}

/** A new instance’s directory, with nothing in it but such a record. */
export async function recordedInstance(
  { paths }: Host,
  { storage }: Pick<InstanceRecord, 'storage'>,
): Promise<{ readonly claim: Claim; readonly directory: string }> {
  const claim = { instanceId: crypto.randomUUID(), operationId: crypto.randomUUID() };
  const directory = `${paths.instances}/${claim.instanceId}`;
  await mkdir(directory);
  const known = { name: 'web-1', host: 'test', specDigest: '', cacheNames: [], state: 'building' } as const;
  const createdAt = new Date().toISOString();
  await writeInstanceRecord(directory, {
    version: 1,
    claim,
    ...known,
    createdAt,
    ...(storage !== undefined && { storage }),
  });
  return { claim, directory };
}
