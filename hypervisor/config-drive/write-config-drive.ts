import { randomBytes } from 'node:crypto';
import { chmod, rename, stat } from 'node:fs/promises';
import type { ConfigDriveSettings } from '../../domain/configuration.ts';
import { publishFile, removeTemporaryFiles } from '../files/publish-file.ts';
import { isThere } from '../files/small-file.ts';
import { reportingFullDisk } from '../space/full-disk.ts';
import type { ConfigDriveContents } from './contents.ts';
import type { DriveControl, DriveWriter } from './drive-writer.ts';
import { metadataTree } from './metadata-tree.ts';
import { withStagingFolder } from './staging-folder.ts';
import { isoWriter } from './write-iso.ts';
import { writeVfat } from './write-vfat.ts';

type DriveSettings = Pick<ConfigDriveSettings, 'configDriveFormat' | 'mkisofsCmd'>;

/**
 * Writes an instance's config drive, readable by its owner only, and returns its size. One that is there already stays:
 * it was published whole, by an earlier run of the same step.
 *
 * Throws ProgramMissing, ProgramFailed, ProgramTimedOut, InsufficientSpace and HostIoError.
 */
export async function writeConfigDrive(
  destination: string,
  contents: ConfigDriveContents,
  settings: DriveSettings,
  control: DriveControl,
): Promise<{ readonly sizeBytes: number }> {
  await removeTemporaryFiles(destination);
  if (!(await isThere(destination))) {
    const randomSeed = randomBytes(512).toString('base64');
    const write = writerFor(settings);
    await withStagingFolder(destination, metadataTree(contents, { randomSeed }), async (staging) => {
      await reportingFullDisk(staging.image, () => write(staging, control));
      await chmod(staging.image, 0o600);
      await publishFile(destination, (temporaryPath) => rename(staging.image, temporaryPath));
    });
  }
  return { sizeBytes: (await stat(destination)).size };
}

function writerFor({ configDriveFormat, mkisofsCmd }: DriveSettings): DriveWriter {
  return configDriveFormat === 'vfat' ? writeVfat : isoWriter(mkisofsCmd);
}
