import { mkdir, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { lookingForLostWrites } from '../files/lost-writes.ts';
import { runProgram } from '../process/run-program.ts';
import { type DriveControl, type DriveWriter, maxDriveBytes, programOptions, volumeLabel } from './drive-writer.ts';
import type { StagingFolder } from './staging-folder.ts';

/**
 * Makes a FAT image of Nova's size. Nova mounts it to fill it, which takes root; mtools write into it as it lies there.
 * The label is mkfs.vfat's, because mformat would write it in capitals.
 */
export const writeVfat: DriveWriter = async (staging, control) => {
  await makeSparseFile(staging.image, maxDriveBytes);
  await runProgram('mkfs.vfat', ['-n', volumeLabel, staging.image], programOptions(control));
  await copyTree(staging, control);
  await checkTree(staging, control);
};

async function copyTree(staging: StagingFolder, control: DriveControl): Promise<void> {
  const folders = (await readdir(staging.tree)).map((name) => join(staging.tree, name));
  await runProgram('mcopy', ['-i', staging.image, '-s', '-Q', ...folders, '::/'], programOptions(control));
}

/**
 * Reads the drive back: mcopy keeps sectors in memory, and ends with success though the write of one of them failed.
 * Throws HostIoError.
 */
async function checkTree({ tree, image }: StagingFolder, control: DriveControl): Promise<void> {
  const readBack = `${tree}-read-back`;
  await mkdir(readBack, { mode: 0o700 });
  await lookingForLostWrites(`the config drive ${image} does not hold what was written to it`, async () => {
    await runProgram('mcopy', ['-i', image, '-s', '-n', '::/*', readBack], programOptions(control));
    await runProgram('diff', ['-r', '-q', tree, readBack], programOptions(control));
  });
}

async function makeSparseFile(path: string, sizeBytes: number): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.truncate(sizeBytes);
  } finally {
    await file.close();
  }
}
