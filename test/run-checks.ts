import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { access, readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { messageProblems } from './checks/matched-messages.ts';

const root = join(import.meta.dirname, '..');
const timeoutMs = 300_000;

export interface CheckResult {
  readonly name: string;
  readonly passed: boolean;
  /** Why it could not be made here. */
  readonly skipped?: string;
  /** What the tool that made it had to say. */
  readonly said?: string;
}

/** Every folder with code; the import arrows hold between them. */
const codeFolders = [
  ...['domain', 'client', 'workflows', 'activities', 'hypervisor', 'workers', 'cli', 'test', 'bench'],
].filter((folder) => existsSync(join(root, folder)));

/** The rules that are in tools, each with the arguments for a script of node_modules. */
const checks = {
  'the types agree': ['typescript/bin/tsc', '--noEmit', '--project', '.'],
  'lint and format': ['@biomejs/biome/bin/biome', 'ci', '--colors=off'],
  'the import arrows': ['dependency-cruiser/bin/dependency-cruise.mjs', ...codeFolders],
} as const;

/** Makes all checks, one after the other, and shows what a tool that objects has to say. */
export async function runChecks(): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  for (const [name, [script, ...args]] of Object.entries(checks)) {
    results.push(await check(name, process.execPath, [join(root, 'node_modules', script), ...args]));
  }
  results.push(await checkMessages());
  results.push(await checkShellScripts());
  return results;
}

async function checkMessages(): Promise<CheckResult> {
  const said = (await messageProblems(root)).map((problem) => `${problem}\n`).join('');
  process.stdout.write(said);
  return report({ name: 'no message decides anything', passed: said === '', said });
}

async function checkShellScripts(): Promise<CheckResult> {
  const name = 'the shell scripts';
  if (!(await isOnPath('shellcheck'))) return report({ name, passed: false, skipped: 'shellcheck is not installed' });
  const pieces = (await readdir(join(root, 'setup'))).map((piece) => join('setup', piece));
  return await check(name, 'shellcheck', ['--external-sources', 'everboot', '.ci/run', ...pieces]);
}

async function check(name: string, program: string, args: readonly string[]): Promise<CheckResult> {
  const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs });
  let said = '';
  for (const output of [child.stdout, child.stderr]) output.on('data', (piece: Buffer) => (said += piece));
  const [exitCode] = (await once(child, 'close')) as [number | null];
  if (exitCode !== 0) process.stdout.write(said);
  return report({ name, passed: exitCode === 0, said });
}

function report(result: CheckResult): CheckResult {
  const mark = result.passed ? '✔' : result.skipped === undefined ? '✖' : '﹣';
  process.stdout.write(`${mark} ${result.name}${result.skipped === undefined ? '' : ` # ${result.skipped}`}\n`);
  return result;
}

async function isOnPath(program: string): Promise<boolean> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const found = await access(join(folder, program), 1).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}
