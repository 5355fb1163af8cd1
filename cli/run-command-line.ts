import { CommanderError } from 'commander';
import type { OperationFailure } from '../client/temporal/failure-document.ts';
import { EverbootFailure } from '../domain/failures.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';
import { exitOnInterrupt } from './interrupts.ts';
import { everbootProgram } from './program.ts';
import { reportFailure } from './report-failure.ts';

/** Runs one command line to its end and returns the exit code. Whatever goes wrong is reported here, and only here. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  exitOnInterrupt();
  // `everboot list | head` ends the reader first, which is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  const json = args.slice(0, args.includes('--') ? args.indexOf('--') : undefined).includes('--json');
  try {
    await everbootProgram().parseAsync(args, { from: 'user' });
    return Number(process.exitCode ?? exitCodes.done);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.done;
    const failure = toFailure(error);
    reportFailure(failure, json);
    return isParked(failure) ? exitCodes.parked : exitCodeOf(failure.code);
  }
}

function isParked(failure: EverbootFailure | OperationFailure): boolean {
  return (failure as Partial<OperationFailure>).parked === true;
}

function toFailure(error: unknown): EverbootFailure {
  if (error instanceof EverbootFailure) return error;
  if (error instanceof CommanderError) {
    const said = error.code === 'commander.help' ? 'a command was expected' : error.message.replace(/^error: /, '');
    return new EverbootFailure('UsageInvalid', said, {
      remedy: 'Read `everboot --help`, or `everboot COMMAND --help`.',
    });
  }
  const words = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  if (error instanceof Error && error.stack !== undefined) process.stderr.write(`${error.stack}\n`);
  return new EverbootFailure('InternalError', words.slice(0, 500), {
    remedy: 'Report it, with what standard error says.',
    cause: error,
  });
}
