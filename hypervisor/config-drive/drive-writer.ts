import type { WorkControl } from '../../domain/step-progress.ts';
import type { StagingFolder } from './staging-folder.ts';

/** By this a guest finds its config drive. */
export const volumeLabel = 'config-2';

/** The size of Nova's vfat drives, and the most an ISO 9660 one may become. */
export const maxDriveBytes = 64 * 2 ** 20;

export interface DriveControl extends WorkControl {
  /** Descriptors of the locks under which the drive is written, see `runProgram`. */
  readonly heldLocks?: readonly number[];
}

/** Makes the image file of a config drive from the staged tree; one such function a file system. */
export type DriveWriter = (staging: StagingFolder, control: DriveControl) => Promise<void>;

/** The options of the drive's programs: they read a small tree, and end in a moment. */
export function programOptions({ signal, heldLocks = [] }: DriveControl) {
  return { signal, heldLocks, timeoutMs: 60_000, limits: { fileSizeBytes: maxDriveBytes } } as const;
}
