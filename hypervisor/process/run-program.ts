import type { Readable } from 'node:stream';
import { ExecaError, execa } from 'execa';
import { EverbootFailure } from '../../domain/failures.ts';
import type { ProgramEnd } from '../../domain/program-end.ts';
import { missingProgram, programFailure } from './program-failure.ts';

/** Limits that the kernel enforces on a program and on its children. */
export interface ProgramLimits {
  readonly memoryBytes?: number;
  readonly cpuSeconds?: number;
  /** The largest file it may write; more ends it with SIGXFSZ. */
  readonly fileSizeBytes?: number;
}

export interface ProgramOptions {
  readonly signal?: AbortSignal;
  /** Wall time, in milliseconds. Every program has a limit. */
  readonly timeoutMs: number;
  readonly limits?: ProgramLimits;
  /** True: the program runs in a network namespace of its own, with nothing in it. */
  readonly isolateNetwork?: boolean;
  /**
   * True: the kernel ends every process that the program has started as soon as the program itself has ended, even one
   * that left its process group.
   */
  readonly isolateProcesses?: boolean;
  /** A folder that the program sees as /tmp, so that what it leaves there when it is killed is found and removed. */
  readonly temporaryFolder?: string;
  /** Descriptors that the child gets as 3, 4 and so on, in this order. */
  readonly openFiles?: readonly number[];
  /** Descriptors of held locks: the child keeps them open, so that a lock lasts until its last writer has ended. */
  readonly heldLocks?: readonly number[];
  /** The program's input; a stream is read no faster than the program takes it, and may stay open while it runs. */
  readonly input?: string | Readable;
  /** Called with what the program prints on either of its outputs, piece by piece, a character a byte. */
  readonly onOutput?: (text: string, stream: 'stdout' | 'stderr') => void;
  /** The most that is kept of each of its outputs, in bytes. */
  readonly maxOutputBytes?: number;
  readonly workingDirectory?: string;
  /**
   * True: once it has started it is left to its end, whatever becomes of its step or of the worker, since what it
   * leaves when it is ended in the middle is worse than what it makes. Its time is limited all the same.
   */
  readonly mustFinish?: boolean;
  /** Variables besides those that every program gets. Never a secret. */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface ProgramOutput {
  readonly stdout: string;
  readonly stderr: string;
}

const defaultMaxOutputBytes = 1024 * 1024;

/** The characters that are kept of a program's last words: few enough for a history. */
const maxTailLength = 600;

/** The environment of a child: no credentials, and a locale whose messages can be parsed. */
const childEnvironment = {
  PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C.UTF-8',
  HOME: '/nonexistent',
  // Else each thread of qemu-img reserves 64 MiB for itself, and the limit on its memory ends it at random.
  MALLOC_ARENA_MAX: '1',
  // Else lvm2 complains of every descriptor that it inherits; it closes them either way.
  LVM_SUPPRESS_FD_WARNINGS: '1',
};

/**
 * Runs one program to its end and returns what it printed. It is the leader of its own process group and dies with the
 * worker; when the signal aborts or the time is up, the whole group is killed and awaited.
 *
 * Throws what `programFailure` makes of its end, which travels in it as facts (see `ProgramEnd`); ProgramMissing; and
 * the signal's own reason when it was aborted.
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<ProgramOutput> {
  options.signal?.throwIfAborted();
  const { maxOutputBytes = defaultMaxOutputBytes, mustFinish = false } = options;
  const [file, ...wrapped] = [...wrapperFor(options), program, ...args] as [string, ...string[]];
  // execa's types know the standard descriptors only, though it hands on any that it is given.
  const inherited = [...(options.openFiles ?? []), ...(options.heldLocks ?? [])] as unknown as readonly 'inherit'[];
  const child = execa(file, wrapped, {
    env: { ...childEnvironment, ...options.environment },
    extendEnv: false,
    cwd: options.workingDirectory ?? '/',
    detached: true,
    cleanup: !mustFinish,
    maxBuffer: maxOutputBytes,
    stripFinalNewline: false,
    ...(options.input === undefined ? {} : { input: options.input }),
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe', ...inherited],
  });
  const { onOutput } = options;
  if (onOutput !== undefined) {
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream]?.on('data', (piece: Buffer) => onOutput(piece.toString('latin1'), stream));
    }
  }

  const killGroup = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // The group has ended already.
    }
  };
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    killGroup();
  }, options.timeoutMs);
  if (!mustFinish) options.signal?.addEventListener('abort', killGroup, { once: true });
  try {
    const { stdout, stderr } = await child;
    return { stdout, stderr };
  } catch (error) {
    killGroup();
    options.signal?.throwIfAborted();
    if (!(error instanceof ExecaError)) {
      throw new EverbootFailure('ProgramFailed', `${program}: ${error}`, { cause: error });
    }
    // A wrapper that cannot be started has not run the program either.
    if (error.code === 'ENOENT') throw missingProgram(program);
    throw programFailure(endOf(program, error, timedOut), { timeoutMs: options.timeoutMs, maxOutputBytes });
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', killGroup);
  }
}

/** A program that runs until it is stopped, such as a server. */
export interface RunningProgram {
  readonly pid: number;
  /** Settles when the program has ended, however it did, with its last words. */
  readonly ended: Promise<string>;
  /** Asks it to end, kills it when it does not within `timeoutMs`, and waits. */
  stop(timeoutMs: number): Promise<void>;
}

/**
 * Starts a server in a process group of its own, so that a Ctrl-C meant for us does not reach it before we are done
 * with it. It ends with us even if we are killed. Its output goes to the end of a log file.
 */
export function startProgram(
  program: string,
  args: readonly string[],
  { logFile, workingDirectory }: { readonly logFile: string; readonly workingDirectory: string },
): RunningProgram {
  const log = { file: logFile, append: true };
  const child = execa('setpriv', ['--pdeathsig', 'TERM', '--', program, ...args], {
    env: childEnvironment,
    extendEnv: false,
    cwd: workingDirectory,
    detached: true,
    cleanup: true,
    reject: false,
    buffer: false,
    stdio: ['ignore', log, log],
  });
  const ended = child.then((result) => result.shortMessage ?? 'it ended by itself');
  return {
    pid: child.pid ?? 0,
    ended,
    async stop(timeoutMs) {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

/**
 * The shell around a program that must finish: it holds the locks which the program may close, and keeps the program
 * from dying of a pipe which nobody reads any more.
 */
const finisher = ['sh', '-c', `trap '' PIPE; "$@"; exit $?`, 'sh'];

/** Mounts the folder that follows on /tmp, and becomes the program after it. */
const mounter = ['sh', '-c', 'mount --bind "$0" /tmp && exec "$@"'];

/**
 * `setpriv` makes the kernel end the child when the worker dies, `prlimit` sets its limits, `unshare` takes the
 * network away. Each replaces itself by the next, so the process that runs is the program itself; only for a namespace
 * of processes does one stay in between, and ends as its program does.
 */
function wrapperFor(options: ProgramOptions): string[] {
  const {
    limits = {},
    isolateNetwork = false,
    isolateProcesses = false,
    mustFinish = false,
    temporaryFolder,
  } = options;
  const wrapper = mustFinish ? [...finisher] : ['setpriv', '--pdeathsig', 'KILL', '--'];
  const flags = ['--core=0'];
  if (limits.memoryBytes !== undefined) flags.push(`--as=${limits.memoryBytes}`);
  if (limits.cpuSeconds !== undefined) flags.push(`--cpu=${limits.cpuSeconds}`);
  if (limits.fileSizeBytes !== undefined) flags.push(`--fsize=${limits.fileSizeBytes}`);
  wrapper.push('prlimit', ...flags, '--');
  if (process.getuid?.() === 0) {
    if (isolateNetwork) wrapper.push('unshare', '--net', '--');
    if (temporaryFolder !== undefined) wrapper.push('unshare', '--mount', '--', ...mounter, temporaryFolder);
    // The program is the first process of its namespace, and with the first the kernel ends all.
    if (isolateProcesses) wrapper.push('unshare', '--pid', '--fork', '--kill-child', '--');
  }
  return wrapper;
}

/** A program's end as facts. execa's own message repeats the command line, and is not read. */
function endOf(program: string, error: ExecaError, isOverdue: boolean): ProgramEnd {
  return {
    program,
    exitCode: error.exitCode ?? null,
    signal: error.signal ?? null,
    stderrTail: String(error.stderr ?? '')
      .trim()
      .slice(-maxTailLength),
    cut: isOverdue ? 'time' : error.isMaxBuffer ? 'output' : null,
  };
}
