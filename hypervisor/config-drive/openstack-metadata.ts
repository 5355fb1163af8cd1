import type { InjectedFile } from '../../domain/spec.ts';
import { type ConfigDriveContents, jsonFile, keyName, type MetadataFile } from './contents.ts';
import { deviceMetadata } from './device-metadata.ts';

/** The versions of OpenStack's metadata, oldest first: Nova's `OPENSTACK_VERSIONS` (nova/api/metadata/base.py). */
export const openstackVersions = [
  '2012-08-10',
  '2013-04-04',
  '2013-10-17',
  '2015-10-15',
  '2016-06-30',
  '2016-10-06',
  '2017-02-22',
  '2018-08-27',
  '2020-10-14',
  '2025-04-04',
  'latest',
] as const;
type OpenstackVersion = (typeof openstackVersions)[number];

/** From which version on Nova writes a file or a field. Dates compare as text, and `latest` comes after all of them. */
const since = {
  randomSeed: '2013-04-04',
  vendorData: '2013-10-17',
  projectId: '2015-10-15',
  networkData: '2015-10-15',
  devices: '2016-06-30',
  vendorData2: '2016-10-06',
  trustedCards: '2018-08-27',
  dedicatedCpus: '2020-10-14',
} as const satisfies Record<string, OpenstackVersion>;

/**
 * The `openstack` folder of a config drive, as Nova's `metadata_for_config_drive` yields it. `randomSeed` is base64 of
 * 512 bytes, which the guest adds to its entropy.
 */
export function openstackMetadata(contents: ConfigDriveContents, randomSeed: string): readonly MetadataFile[] {
  const { secrets } = contents;
  const injected = secrets.files ?? [];
  return [
    ...openstackVersions.flatMap((version) => versionFolder(contents, version, randomSeed)),
    ...injected.map(({ base64 }, index) => ({
      path: `openstack${contentPath(index)}`,
      bytes: Buffer.from(base64, 'base64'),
    })),
  ];
}

function versionFolder(
  contents: ConfigDriveContents,
  version: OpenstackVersion,
  randomSeed: string,
): readonly MetadataFile[] {
  const folder = `openstack/${version}`;
  const { userData, vendorData = {} } = contents.secrets;
  const networkData = networkDataOf(contents);
  const files = [jsonFile(`${folder}/meta_data.json`, metaData(contents, version, randomSeed))];
  if (userData !== undefined) files.push({ path: `${folder}/user_data`, bytes: Buffer.from(userData, 'base64') });
  if (version >= since.vendorData) files.push(jsonFile(`${folder}/vendor_data.json`, vendorData));
  if (version >= since.networkData && networkData !== undefined)
    files.push(jsonFile(`${folder}/network_data.json`, networkData));
  if (version >= since.vendorData2) files.push(jsonFile(`${folder}/vendor_data2.json`, { static: vendorData }));
  return files;
}

function metaData(
  { spec, secrets, disks }: ConfigDriveContents,
  version: OpenstackVersion,
  randomSeed: string,
): unknown {
  const keys = spec.sshKeys.map((data, index) => ({ name: keyName(index), type: 'ssh', data }));
  const devices = { disks, interfaces: spec.interfaces };
  const saysTrust = version >= since.trustedCards;
  const hasMetadata = Object.keys(spec.metadata).length > 0;
  return {
    uuid: spec.id,
    ...(hasMetadata && { meta: spec.metadata }),
    ...(secrets.files?.length && { files: secrets.files.map(fileEntry) }),
    ...(secrets.adminPassword && { admin_pass: secrets.adminPassword }),
    ...(keys.length > 0 && {
      public_keys: Object.fromEntries(keys.map(({ name, data }) => [name, data])),
      keys,
    }),
    hostname: spec.hostname,
    name: spec.name,
    launch_index: spec.launchIndex ?? 0,
    availability_zone: spec.availabilityZone === '' ? null : spec.availabilityZone,
    ...(version >= since.randomSeed && { random_seed: randomSeed }),
    ...(version >= since.projectId && { project_id: spec.project }),
    ...(version >= since.devices && { devices: deviceMetadata(devices, { saysTrust }) }),
    ...(version >= since.dedicatedCpus && { dedicated_cpus: [] }),
  };
}

function fileEntry({ path, mode }: InjectedFile, index: number): unknown {
  return { path, content_path: contentPath(index), ...(mode !== undefined && { mode }) };
}

function contentPath(index: number): string {
  return `/content/${String(index).padStart(4, '0')}`;
}

/**
 * Nova writes `{}` for an instance without network, by which the guest configures none. An instance that has interfaces
 * and no `networkData` gets no such file, so that its guest asks for addresses by DHCP.
 */
function networkDataOf({ spec }: ConfigDriveContents): unknown {
  return spec.networkData ?? (spec.interfaces.length === 0 ? {} : undefined);
}
