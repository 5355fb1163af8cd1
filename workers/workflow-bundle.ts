import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleWorkflowCode, type Logger, type WorkflowBundle } from '@temporalio/worker';
import { publishText } from '../hypervisor/publish-file.ts';
import { log } from './log.ts';

const root = join(import.meta.dirname, '..');

/**
 * The workflows’ code as Temporal’s sandbox takes it. Bundling takes seconds, so the bundle of exactly these sources is
 * kept in the state folder; another release, or a changed file, gets another one.
 */
export async function workflowBundle(stateDirectory: string): Promise<WorkflowBundle> {
  const folder = join(stateDirectory, 'workflow-bundles');
  const name = `${await sourcesDigest()}.js`;
  const path = join(folder, name);
  const kept = await readFile(path, 'utf8').catch(() => undefined);
  if (kept !== undefined) return { code: kept };

  const bundle = await bundleWorkflowCode({ workflowsPath: join(root, 'workflows', 'index.ts'), logger: silentLogger });
  await mkdir(folder, { recursive: true });
  await publishText(path, bundle.code, 0o644);
  for (const other of await readdir(folder)) if (other !== name) await rm(join(folder, other), { force: true });
  return bundle;
}

const quiet = (): void => undefined;

/** The bundler tells of its progress as if each line were news; only its errors are. */
const silentLogger: Logger = {
  log: quiet,
  trace: quiet,
  debug: quiet,
  info: quiet,
  warn: quiet,
  error: (message) => log.error(message),
};

async function sourcesDigest(): Promise<string> {
  const digest = createHash('sha256').update(await readFile(join(root, 'package-lock.json')));
  for (const folder of ['workflows', 'domain']) {
    for (const file of (await readdir(join(root, folder))).sort()) {
      if (file.endsWith('.ts')) digest.update(`${folder}/${file}\n`).update(await readFile(join(root, folder, file)));
    }
  }
  return digest.digest('hex').slice(0, 32);
}
