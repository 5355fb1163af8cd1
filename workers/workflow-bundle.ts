import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleWorkflowCode, type Logger, type WorkflowBundle } from '@temporalio/worker';
import { publishText } from '../hypervisor/files/publish-file.ts';
import { log } from './log.ts';

const root = join(import.meta.dirname, '..');

/**
 * The workflows’ code as Temporal’s sandbox takes it. Bundling takes seconds, so the bundle of exactly these sources is
 * kept in the state folder; another release, or a changed file, gets another one.
 */
export async function workflowBundle(stateDirectory: string): Promise<WorkflowBundle> {
  const path = await keptBundlePath(stateDirectory);
  const kept = await readFile(path, 'utf8').catch(() => undefined);
  if (kept !== undefined) return { code: kept };

  const bundle = await bundleWorkflows();
  const folder = bundleFolder(stateDirectory);
  await mkdir(folder, { recursive: true });
  await publishText(path, bundle.code, 0o644);
  for (const name of await readdir(folder)) {
    const other = join(folder, name);
    if (other !== path) await rm(other, { force: true });
  }
  return bundle;
}

/** Where a state folder keeps the bundle of these sources. */
export async function keptBundlePath(stateDirectory: string): Promise<string> {
  return join(bundleFolder(stateDirectory), `${await workflowsDigest(root)}.js`);
}

function bundleFolder(stateDirectory: string): string {
  return join(stateDirectory, 'workflow-bundles');
}

/** Bundles the workflows again. Another module of `StepTimes` can stand in for the product’s, see there. */
export async function bundleWorkflows(otherStepTimes?: string): Promise<WorkflowBundle> {
  const alias = otherStepTimes === undefined ? {} : { [join(root, 'domain', 'step-times.ts')]: otherStepTimes };
  return await bundleWorkflowCode({
    workflowsPath: join(root, 'workflows', 'index.ts'),
    logger: silentLogger,
    webpackConfigHook: (config) => ({
      ...config,
      resolve: { ...config.resolve, alias: { ...config.resolve?.alias, ...alias } },
    }),
  });
}

const quiet = (): void => undefined;

/** The bundler reports its progress as if each line were news; only its errors are. */
const silentLogger: Logger = {
  log: quiet,
  trace: quiet,
  debug: quiet,
  info: quiet,
  warn: quiet,
  error: (message) => log.error(message),
};

/** A name for everything that a bundle is made of: workflow code imports nothing but these folders and packages. */
export async function workflowsDigest(sources: string): Promise<string> {
  const digest = createHash('sha256').update(await readFile(join(sources, 'package-lock.json')));
  for (const folder of ['workflows', 'domain']) {
    const names = await readdir(join(sources, folder), { recursive: true });
    for (const name of names.filter((one) => one.endsWith('.ts')).sort()) {
      digest.update(`${folder}/${name}\n`).update(await readFile(join(sources, folder, name)));
    }
  }
  return digest.digest('hex').slice(0, 32);
}
