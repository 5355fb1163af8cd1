import type { ProgramEnd } from '../../domain/program-end.ts';

/** As qemu-img 7.2 says it when it is not the image that is at fault, but the host's own disk. */
const hostFault = /error while writing|No such file or directory|Permission denied/;

/** How a line of qemu-img 7.2's own begins, and none of the programs around it. */
const ownLine = /^qemu-img: /m;

/** Signals by which its limits, or a bug that an image has found in it, end it. */
const signalsOfImage = new Set(['SIGXCPU', 'SIGXFSZ', 'SIGSEGV', 'SIGABRT', 'SIGBUS', 'SIGILL', 'SIGFPE']);

/**
 * Whether qemu-img ended for what is in the image: its own words, too many of them, or the end that the image made of
 * it.
 */
export function isImageAtFault({ signal, stderrTail, cut }: ProgramEnd): boolean {
  if (cut === 'output') return true;
  if (hostFault.test(stderrTail)) return false;
  return (signal !== null && signalsOfImage.has(signal)) || ownLine.test(stderrTail);
}
