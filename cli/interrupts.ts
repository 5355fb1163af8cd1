import { exitCodes } from './exit-codes.ts';

let current: AbortController | undefined;

/** Makes a Ctrl-C end any command that has no better answer to it. */
export function exitOnInterrupt(): void {
  process.on('SIGINT', interrupted);
}

/** From now on the first of these signals aborts what is returned; the second ends the process at once. */
export function abortOn(...signals: readonly NodeJS.Signals[]): AbortSignal {
  current = new AbortController();
  for (const signal of signals) if (signal !== 'SIGINT') process.on(signal, interrupted);
  return current.signal;
}

function interrupted(): void {
  if (current === undefined || current.signal.aborted) process.exit(exitCodes.interrupted);
  current.abort();
}
