import { basename } from 'node:path';
import { runProgram } from '../process/run-program.ts';
import { type DriveWriter, programOptions, volumeLabel } from './drive-writer.ts';

/**
 * Makes an ISO 9660 image with Joliet and Rock Ridge, with Nova's options of mkisofs (nova/virt/configdrive.py). `-r`
 * makes everything in it root's and readable, whoever made the image. xorriso speaks mkisofs when asked to; the other
 * programs that `mkisofs_cmd` may name do so by themselves.
 */
export function isoWriter(mkisofsCmd: string): DriveWriter {
  const dialect = basename(mkisofsCmd) === 'xorriso' ? ['-as', 'mkisofs'] : [];
  const names = ['-ldots', '-allow-lowercase', '-allow-multidot', '-l', '-J', '-r'];
  const texts = ['-publisher', 'everboot', '-V', volumeLabel];
  return async ({ tree, image }, control) => {
    await runProgram(
      mkisofsCmd,
      [...dialect, '-o', image, '-quiet', ...names, ...texts, tree],
      programOptions(control),
    );
  };
}
