import type { InstanceDisk } from '../domain/disk-plan.ts';
import type { ConfigDriveOrder } from '../domain/host-activities.ts';
import { writeConfigDrive as write } from '../hypervisor/config-drive/write-config-drive.ts';
import type { Host } from './context/host.ts';
import { openSecretsOf } from './context/open-secrets.ts';
import { makingDisk } from './disks/make-disk.ts';

/**
 * Writes the config drive, which holds all secrets of the spec in plain. An instance that has one is not injected into.
 */
export async function writeConfigDrive(host: Host, order: ConfigDriveOrder): Promise<InstanceDisk> {
  const { claim, disk, spec, disks } = order;
  const { configuration } = host;
  return await makingDisk(host, { claim, name: disk.name }, async (context, control) => {
    const secrets = await openSecretsOf(host, spec.secrets, claim.instanceId);
    const path = `${context.directory}/${disk.name}`;
    const writing = { ...control, heldLocks: context.heldLocks };
    const { sizeBytes } = await write(path, { spec, secrets, disks }, configuration.configDrive, writing);
    return { name: disk.name, path, format: 'raw', virtualSizeBytes: sizeBytes };
  });
}
