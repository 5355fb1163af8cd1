import type { InstanceDisk } from '../domain/disk-plan.ts';
import type { ConfigDriveOrder } from '../domain/host-activities.ts';
import { writeConfigDrive as write } from '../hypervisor/config-drive/write-config-drive.ts';
import { openSecrets, readPrivateKeys } from '../hypervisor/secret-keys.ts';
import type { Host } from './host.ts';
import { makingDisk } from './make-disk.ts';

/** Writes the config drive. Only here are the sealed parts of a spec opened, and only into this file. */
export async function writeConfigDrive(host: Host, order: ConfigDriveOrder): Promise<InstanceDisk> {
  const { claim, disk, spec, disks } = order;
  const { configuration } = host;
  return await makingDisk(host, { claim, name: disk.name }, async (context, control) => {
    const isSealed = Object.keys(spec.secrets).length > 0;
    // A host without a key still boots what has no secrets.
    const keys = isSealed ? await readPrivateKeys(configuration.secrets.privateKeyFile) : [];
    const secrets = await openSecrets(spec.secrets, claim.instanceId, keys);
    const path = `${context.directory}/${disk.name}`;
    const writing = { ...control, heldLocks: context.heldLocks };
    const { sizeBytes } = await write(path, { spec, secrets, disks }, configuration.configDrive, writing);
    return { name: disk.name, path, format: 'raw', virtualSizeBytes: sizeBytes };
  });
}
