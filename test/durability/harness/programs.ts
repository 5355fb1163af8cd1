import childProcess, { type ChildProcess } from 'node:child_process';
import { syncBuiltinESMExports } from 'node:module';
import { asyncLocalStorage } from '@temporalio/activity';

/** The watch on programs that a step starts: the command in front of them, and who is notified. */
export interface ProgramWatch {
  /**
   * A shell's words; `"$@"` is the program. Then it also outlives its worker, as a program that cannot be ended would.
   */
  readonly script?: string;
  readonly onStart: (child: ChildProcess) => void;
}

const watches = new Map<string, ProgramWatch>();
let installed = false;

/**
 * Watches the programs that a step of an instance starts, until it is called with undefined. The programs are the real
 * ones with the real descriptors; only the shell before them, and the missing tie to their worker's life, are the
 * test's.
 */
export function watchPrograms(step: string, instanceId: string, watch: ProgramWatch | undefined): void {
  install();
  if (watch === undefined) watches.delete(`${step} ${instanceId}`);
  else watches.set(`${step} ${instanceId}`, watch);
}

function install(): void {
  if (installed) return;
  installed = true;
  const { spawn } = childProcess;
  childProcess.spawn = ((file: string, args: readonly string[], options: object) => {
    const watch = watches.get(currentStep());
    if (watch === undefined) return spawn(file, args, options);
    const [program, words] = watch.script === undefined ? [file, args] : behindShell(watch.script, file, args);
    const child = spawn(program, words as string[], options);
    watch.onStart(child);
    return child;
  }) as typeof spawn;
  syncBuiltinESMExports();
}

function currentStep(): string {
  const info = asyncLocalStorage.getStore()?.info;
  const instanceId = info?.workflowExecution?.workflowId.split('/').find((part) => part.length === 36);
  return `${info?.activityType} ${instanceId}`;
}

function behindShell(script: string, file: string, args: readonly string[]): [string, readonly string[]] {
  const untied = file === 'setpriv' && args[0] === '--pdeathsig' ? args.slice(3) : [file, ...args];
  return ['sh', ['-c', script, 'sh', ...untied]];
}
