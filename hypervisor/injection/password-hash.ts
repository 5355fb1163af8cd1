import { EverbootFailure } from '../../domain/failures.ts';
import { runProgram } from '../process/run-program.ts';

/** The longest password that openssl reads; it would cut off a longer one. */
const maxPasswordBytes = 256;

/**
 * A password as /etc/shadow has it: SHA-512 crypt with a salt of openssl's. It goes to openssl over its standard input.
 * Nova hashes by MD5, for guests that know no other; those are gone.
 *
 * Throws ImageUnacceptable for a password that is too long, ProgramMissing.
 */
export async function hashPassword(password: string, signal: AbortSignal): Promise<string> {
  if (Buffer.byteLength(password) > maxPasswordBytes)
    throw new EverbootFailure('ImageUnacceptable', `it is longer than ${maxPasswordBytes} bytes`);
  const { stdout } = await runProgram('openssl', ['passwd', '-6', '-stdin'], {
    signal,
    timeoutMs: 30_000,
    input: `${password}\n`,
  });
  return stdout.trim();
}
