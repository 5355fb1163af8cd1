import { EverbootFailure } from '../../domain/failures.ts';

/** guestfish reads its commands into a buffer of 8192 bytes, and takes what is longer for the next command. */
const maxLineBytes = 8000;

/** Printable, and without a meaning to guestfish inside of double quotes. */
const isPlain = /[A-Za-z0-9/._,:=+@-]/;

/**
 * One command for guestfish, as a line of its input. Every argument goes in double quotes, and every byte that could
 * mean anything to guestfish as an escape: a line end, a quote, and the `!`, `|`, `<!`, `#` and `~` that run programs
 * of the host or change what is read.
 *
 * Throws ProgramFailed for what cannot be said: no path of a file has a NUL in it, and a line has its limit.
 */
export function commandLine(command: string, args: readonly (string | Uint8Array)[]): string {
  const line = [command, ...args.map(quoted)].join(' ');
  if (line.length > maxLineBytes)
    throw new EverbootFailure('ProgramFailed', `a path is too long for guestfish ${command}`);
  return `${line}\n`;
}

function quoted(argument: string | Uint8Array): string {
  const bytes = typeof argument === 'string' ? Buffer.from(argument) : argument;
  // These would be guestfish's own standard input and output, and the text in its script.
  if (bytes.length === 0 || bytes[0] === 0x2d || bytes.includes(0)) {
    throw new EverbootFailure('ProgramFailed', 'guestfish is given a path that is empty, begins with "-" or has a NUL');
  }
  return `"${Array.from(bytes, escaped).join('')}"`;
}

function escaped(byte: number): string {
  const character = String.fromCharCode(byte);
  return isPlain.test(character) ? character : `\\x${byte.toString(16).padStart(2, '0')}`;
}
