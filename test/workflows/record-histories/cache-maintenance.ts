import { appendFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { startWorkflow } from '../../../client/temporal/workflow-calls.ts';
import { cacheWorkflowId } from '../../../domain/cache.ts';
import { parseImageReference } from '../../../domain/parse-spec.ts';
import type { WorkflowInput, WorkflowName } from '../../../domain/workflows.ts';
import type { Recorder } from './recorder.ts';

async function onCache<Name extends WorkflowName>(
  { host }: Recorder,
  name: Name,
  input: WorkflowInput<Name>,
): Promise<WorkflowHandle> {
  const workflowId = cacheWorkflowId(host.name, `${name}-${crypto.randomUUID()}`);
  return await startWorkflow(host.client, name, input, { workflowId });
}

const precache = (recorder: Recorder) => {
  const image = parseImageReference(recorder.spec.image);
  return onCache(recorder, 'precacheImage', { host: recorder.host.name, image, pin: true });
};

async function cachedName(recorder: Recorder): Promise<string> {
  await (await precache(recorder)).result();
  const [name = ''] = await readdir(recorder.host.paths.bases);
  return name.replace(/\.json$/, '');
}

export const precachedImage = precache;

export async function listedCache(recorder: Recorder): Promise<WorkflowHandle> {
  await cachedName(recorder);
  return await onCache(recorder, 'listCache', { host: recorder.host.name });
}

export async function unpinnedImage(recorder: Recorder): Promise<WorkflowHandle> {
  return await onCache(recorder, 'pinCache', {
    host: recorder.host.name,
    name: await cachedName(recorder),
    pinned: false,
  });
}

export async function sweptCache(recorder: Recorder): Promise<WorkflowHandle> {
  await cachedName(recorder);
  return await onCache(recorder, 'sweepCache', { host: recorder.host.name, dryRun: false });
}

export async function scrubbedCache(recorder: Recorder): Promise<WorkflowHandle> {
  await cachedName(recorder);
  return await onCache(recorder, 'scrubCache', { host: recorder.host.name, names: null, force: true });
}

/** A damaged image is quarantined and fetched again. */
export async function damagedImage(recorder: Recorder): Promise<WorkflowHandle> {
  await appendFile(join(recorder.host.paths.cache, await cachedName(recorder)), 'rotten');
  return await onCache(recorder, 'scrubCache', { host: recorder.host.name, names: null, force: true });
}
