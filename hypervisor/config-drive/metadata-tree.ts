import type { ConfigDriveContents, MetadataFile } from './contents.ts';
import { ec2Metadata } from './ec2-metadata.ts';
import { openstackMetadata } from './openstack-metadata.ts';

/**
 * Every file of an instance's config drive. Fields and values are Nova's; docs/decisions/config-drive.md says where
 * not.
 */
export function metadataTree(
  contents: ConfigDriveContents,
  { randomSeed }: { readonly randomSeed: string },
): readonly MetadataFile[] {
  return [...ec2Metadata(contents), ...openstackMetadata(contents, randomSeed)];
}
