import { createHash } from 'node:crypto';
import { isIPv4 } from 'node:net';
import type { ImageReference } from '../../domain/image.ts';
import { type ConfigDriveContents, jsonFile, keyName, type MetadataFile } from './contents.ts';

/** EC2's versions without those that Nova's `config_drive_skip_versions` leaves out by default. */
const ec2Versions = ['2009-04-04', 'latest'] as const;

/** The `ec2` folder of a config drive: Nova's `get_ec2_metadata`. */
export function ec2Metadata(contents: ConfigDriveContents): readonly MetadataFile[] {
  const { userData } = contents.secrets;
  return ec2Versions.flatMap((version) => {
    const files = [jsonFile(`ec2/${version}/meta-data.json`, metaData(contents))];
    if (userData !== undefined)
      files.push({ path: `ec2/${version}/user-data`, bytes: Buffer.from(userData, 'base64') });
    return files;
  });
}

function metaData(contents: ConfigDriveContents): unknown {
  const { spec } = contents;
  const publicKeys = spec.sshKeys.map((key, index) => [
    String(index),
    { _name: `${index}=${keyName(index)}`, 'openssh-key': key },
  ]);
  return {
    'ami-id': spec.image === undefined ? null : imageId('ami', spec.image),
    'ami-launch-index': spec.launchIndex ?? 0,
    // Nova's own value.
    'ami-manifest-path': 'FIXME',
    'instance-id': shortId('i', spec.id.replaceAll('-', '')),
    hostname: spec.hostname,
    'local-ipv4': firstFixedAddress(spec.networkData),
    'reservation-id': shortId('r', spec.id.replaceAll('-', '')),
    'security-groups': [],
    ...(publicKeys.length > 0 && { 'public-keys': Object.fromEntries(publicKeys) }),
    'local-hostname': spec.hostname,
    'public-hostname': spec.hostname,
    'public-ipv4': '',
    'instance-type': typeof spec.flavor === 'string' ? spec.flavor : 'inline',
    'block-device-mapping': deviceMapping(contents),
    ...(spec.kernel && { 'kernel-id': imageId('aki', spec.kernel) }),
    ...(spec.ramdisk && { 'ramdisk-id': imageId('ari', spec.ramdisk) }),
    placement: { 'availability-zone': spec.availabilityZone === '' ? null : spec.availabilityZone },
    'instance-action': 'none',
  };
}

/**
 * By this cloud-init finds the ephemeral disk that it mounts and the swap that it turns on: Nova's
 * `instance_block_mapping` (nova/block_device.py).
 */
function deviceMapping({ disks }: ConfigDriveContents): Readonly<Record<string, string>> {
  if (disks === undefined) return {};
  const { ephemerals, swap, volumes = [] } = disks;
  const root = disks.root ?? volumes.find(({ boot }) => boot);
  const attached = volumes.map(({ device }) => device).toSorted();
  return {
    ...(root?.device && { ami: root.device, root: `/dev/${root.device}` }),
    ...Object.fromEntries(attached.map((device, index) => [`ebs${index}`, `/dev/${device}`])),
    ...Object.fromEntries(
      ephemerals.flatMap(({ device }, index) => (device === '' ? [] : [[`ephemeral${index}`, `/dev/${device}`]])),
    ),
    ...(swap?.device && { swap: `/dev/${swap.device}` }),
  };
}

/** An id of EC2's long form. Nova counts its instances and images in a database, which a host does not have. */
function shortId(prefix: string, hex: string): string {
  return `${prefix}-${hex.slice(0, 17)}`;
}

function imageId(prefix: 'ami' | 'aki' | 'ari', image: ImageReference): string {
  const place = 'glance' in image ? image.glance : 'url' in image ? image.url : image.file;
  const identity = ('glance' in image ? undefined : image.digest) ?? place;
  return shortId(prefix, createHash('sha256').update(identity).digest('hex'));
}

/**
 * The first IPv4 address that `networkData` gives the guest. It is the tenant's text, so nothing of its shape is sure.
 */
function firstFixedAddress(networkData: ConfigDriveContents['spec']['networkData']): string | null {
  const networks = networkData?.networks;
  if (!Array.isArray(networks)) return null;
  for (const network of networks as readonly { readonly ip_address?: unknown }[]) {
    const address = String(network?.ip_address ?? '').replace(/\/\d+$/, '');
    if (isIPv4(address)) return address;
  }
  return null;
}
