import { type FormatJudge, startsWith } from './image-bytes.ts';

/** Formats that QEMU would recognize, that nobody needs, and whose safety nobody has looked into. */
const signatures: Readonly<Record<string, readonly string[]>> = {
  qed: ['QED\0'],
  luks: ['LUKS\xba\xbe'],
  parallels: ['WithoutFreeSpace', 'WithouFreSpacExt'],
  bochs: ['Bochs Virtual HD Image'],
  cloop: ['#!/bin/sh\n#V2.0 Format\nmodprobe cloop'],
};

export const refusedFormats: readonly FormatJudge[] = Object.entries(signatures).map(([name, starts]) => ({
  name,
  matches: (head) => starts.some((start) => startsWith(head, start)),
  judgeHead(_head, refuse) {
    refuse(`images of the format ${name} are not accepted`);
    return null;
  },
  async judgeFile(_file, refuse) {
    refuse(`images of the format ${name} are not accepted`);
    return null;
  },
}));
