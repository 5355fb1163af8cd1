import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, relative } from 'node:path';
import type { DemoFolder } from './demo-folder.ts';

const root = join(import.meta.dirname, '..', '..');
const main = join(root, 'cli', 'everboot.ts');

const maxDocumentBytes = 1024 * 1024;

/** How a person would call the script from where he is. */
export function everbootCommand(): string {
  const path = relative(process.cwd(), join(root, 'everboot'));
  return path.startsWith('..') ? join(root, 'everboot') : `./${path}`;
}

export interface CommandOutcome {
  readonly code: number;
  /** The one document that the command printed; null when it printed none. */
  readonly document: Readonly<Record<string, unknown>> | null;
}

/**
 * Runs a command of everboot to its end. What it says of its progress and its failure goes straight to the terminal.
 * When the signal aborts, it is ended at once; what it began continues in Temporal.
 */
export async function runOwn(
  args: readonly string[],
  folder: DemoFolder,
  signal: AbortSignal,
): Promise<CommandOutcome> {
  signal.throwIfAborted();
  const child = spawnOwn([...args, '--json'], folder, { keep: false, stdio: ['ignore', 'pipe', 'inherit'] });
  const end = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', end, { once: true });
  let printed = '';
  child.stdout?.on('data', (piece: Buffer) => {
    printed = (printed + piece.toString('utf8')).slice(0, maxDocumentBytes);
  });
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    signal.throwIfAborted();
    return { code: code ?? 1, document: parseDocument(printed) };
  } finally {
    signal.removeEventListener('abort', end);
  }
}

/** Starts a command in a session of its own, which a Ctrl-C on this terminal does not reach. */
export function spawnOwn(
  args: readonly string[],
  { path, environment }: DemoFolder,
  { keep, stdio }: { readonly keep: boolean; readonly stdio: ('ignore' | 'pipe' | 'inherit' | number)[] },
): ChildProcess {
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', main, ...args] as const;
  const [program, ...rest] = keep ? command : (['setpriv', '--pdeathsig', 'TERM', '--', ...command] as const);
  const child = spawn(program, rest, { cwd: path, env: environment, detached: true, stdio });
  // A program that cannot be started has no exit code; its absence of output is what shows.
  child.on('error', () => undefined);
  return child;
}

/** A line of JSON as an object; null for any other line. */
export function parseDocument(text: string): Readonly<Record<string, unknown>> | null {
  if (!text.startsWith('{')) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
