import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The tracer's action at a call, see at-call.c. */
export type Mode = 'count' | 'copy' | 'kill' | 'stop' | 'stop-worker';

/** One system call that changes a file, as at-call.c notes it. */
export interface Call {
  readonly number: number;
  readonly process: number;
  readonly program: string;
  readonly name: string;
  readonly inode: number;
  readonly path: string;
  readonly second: string;
}

/** Exit status of at-call when it killed what it ran. */
export const killed = 99;

/** Compiles the tracer into a folder. */
export function buildAtCall(folder: string): string {
  const program = join(folder, 'at-call');
  execFileSync('gcc', ['-O1', '-Wall', '-o', program, join(import.meta.dirname, 'at-call.c')], { stdio: 'pipe' });
  return program;
}

/** A step that runs in a process of its own, under the tracer. */
export interface StepOrder {
  /** The file below activities/ and the function that it exports. */
  readonly module: string;
  readonly name: string;
  readonly host: unknown;
  readonly order: unknown;
  /** The file with Temporal's answer whenever the process asks about its run; absent: that it is open. */
  readonly described?: string;
}

export interface TracedStep {
  readonly child: ChildProcess;
  /** Settles with its exit status and what it said. */
  readonly ended: Promise<{ readonly code: number | null; readonly said: string }>;
}

export interface Trace {
  /** The compiled tracer, see `buildAtCall`. */
  readonly program: string;
  readonly log: string;
  /** Only calls on what is below this folder count. */
  readonly folder: string;
  readonly mode: Mode;
  /** The call that the fault is injected at, counted from 1. */
  readonly at?: number;
}

/** Starts a step in a process of its own with a fault injected at one of its calls. */
export function startStep(step: StepOrder, { program, log, folder, mode, at = 0 }: Trace): TracedStep {
  const script = join(import.meta.dirname, 'run-step.ts');
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', script];
  const child = spawn(program, [log, folder, mode, String(at), ...node], {
    env: {
      PATH: process.env.PATH ?? '',
      STEP: JSON.stringify(step),
      // One thread for files, so that the calls come in the same order each time.
      UV_THREADPOOL_SIZE: '1',
      UV_USE_IO_URING: '0',
      NODE_COMPILE_CACHE: `${program}.cache`,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr?.on('data', (piece) => {
    said = `${said}${piece}`.slice(-4000);
  });
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, said }));
  return { child, ended };
}

/** The calls that were noted, in their order. */
export async function readCalls(log: string): Promise<Call[]> {
  const lines = (await readFile(log, 'utf8')).split('\n').filter((line) => line.includes('\t'));
  return lines.map((line) => {
    const [number, pid, program = '', name = '', inode, path = '', second = ''] = line.split('\t');
    return { number: Number(number), process: Number(pid), program, name, inode: Number(inode), path, second };
  });
}
