import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

const main = new URL('../../cli/everboot.ts', import.meta.url).pathname;
const timeoutMs = 60_000;

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Settles when standard error has said it. */
  heard(words: string): Promise<void>;
}

/** Starts the command line as a process of its own that sees nothing of this one’s settings. */
export function startEverboot(args: readonly string[], environment: NodeJS.ProcessEnv = {}, input = ''): Started {
  const child = spawn(process.execPath, [main, ...args], {
    env: { PATH: process.env.PATH, HOME: '/nonexistent', EVERBOOT_CONFIG: '/dev/null', ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: timeoutMs,
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (piece) => {
    stdout += piece;
  });
  child.stderr.on('data', (piece) => {
    stderr += piece;
  });
  // A command that does not read its input ends before it is written.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  return {
    process: child,
    ended: once(child, 'close').then(([code]) => ({ code, stdout, stderr })),
    async heard(words) {
      while (!stderr.includes(words)) await once(child.stderr, 'data');
    },
  };
}

/** Runs the command line to its end. */
export async function runEverboot(
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
  input = '',
): Promise<Ended> {
  return await startEverboot(args, environment, input).ended;
}
