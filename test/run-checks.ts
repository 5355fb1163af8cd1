import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { access, readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { functionLengths } from './checks/function-lengths.ts';
import { messageProblems } from './checks/matched-messages.ts';
import { placesOfTests } from './checks/places-of-tests.ts';
import { rejectedWords } from './checks/rejected-words.ts';

const root = join(import.meta.dirname, '..');
const timeoutMs = 300_000;

export interface CheckResult extends Verdict {
  readonly name: string;
}

interface Verdict {
  readonly passed: boolean;
  /** Why it could not be made here. */
  readonly skipped?: string;
  /** The output of the tool that found it. */
  readonly said?: string;
}

/**
 * A rule of our own over the checkout at `root`: returns what breaks it, one line each (`path:line: what is wrong`),
 * and nothing where it holds. Such a rule is a file of test/checks and a row of the table below.
 */
export type Rule = (root: string) => Promise<readonly string[]>;

/** Every folder with code; the import arrows hold between them. */
const codeFolders = [
  ...['domain', 'client', 'workflows', 'activities', 'hypervisor', 'workers', 'cli', 'test', 'bench'],
].filter((folder) => existsSync(join(root, folder)));

/** All checks, in their order. */
const checks = {
  'the types agree': () => nodeTool('typescript/bin/tsc', '--noEmit', '--project', '.'),
  'lint and format': () => nodeTool('@biomejs/biome/bin/biome', 'ci', '--colors=off'),
  'the import arrows': () => nodeTool('dependency-cruiser/bin/dependency-cruiser.mjs', ...codeFolders),
  'the shell scripts': checkShellScripts,
  'the places of tests': () => ownRule(placesOfTests),
  'no message decides anything': () => ownRule(messageProblems),
  'the lengths of functions': () => ownRule(functionLengths),
  'the rejected words': () => ownRule(rejectedWords),
} as const satisfies Readonly<Record<string, () => Promise<Verdict>>>;

/** Makes all checks, one after the other, and shows what a check that objects has to say. */
export async function runChecks(): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  for (const [name, check] of Object.entries(checks)) {
    const verdict: Verdict = await check();
    if (!verdict.passed && verdict.said !== undefined) process.stdout.write(verdict.said);
    results.push(report({ name, ...verdict }));
  }
  return results;
}

/** Makes one of our own rules. */
async function ownRule(rule: Rule): Promise<Verdict> {
  const lines = await rule(root);
  return { passed: lines.length === 0, said: lines.map((line) => `${line}\n`).join('') };
}

async function checkShellScripts(): Promise<Verdict> {
  if (!(await isOnPath('shellcheck'))) return { passed: false, skipped: 'shellcheck is not installed' };
  const pieces = (await readdir(join(root, 'setup'))).map((piece) => join('setup', piece));
  return await tool('shellcheck', ['--external-sources', 'everboot', '.ci/run', ...pieces]);
}

/** Runs a script of node_modules. */
async function nodeTool(script: string, ...args: readonly string[]): Promise<Verdict> {
  return await tool(process.execPath, [join(root, 'node_modules', script), ...args]);
}

async function tool(program: string, args: readonly string[]): Promise<Verdict> {
  const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs });
  let said = '';
  for (const output of [child.stdout, child.stderr]) output.on('data', (piece: Buffer) => (said += piece));
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { passed: exitCode === 0, said };
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
