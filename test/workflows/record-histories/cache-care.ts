import { appendFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { cacheWorkflowId } from '../../../domain/cache.ts';
import type { Recorder } from './recorder.ts';

async function onCache({ host }: Recorder, workflowType: string, input: object): Promise<WorkflowHandle> {
  return await host.client.workflow.start(workflowType, {
    args: [{ host: host.name, ...input }],
    taskQueue: 'everboot',
    workflowId: cacheWorkflowId(host.name, `${workflowType}-${crypto.randomUUID()}`),
  });
}

const precache = (recorder: Recorder) => onCache(recorder, 'precacheImage', { image: recorder.spec.image, pin: true });

async function cachedName(recorder: Recorder): Promise<string> {
  await (await precache(recorder)).result();
  const [name = ''] = await readdir(recorder.host.paths.bases);
  return name.replace(/\.json$/, '');
}

export const precachedImage = precache;

export async function listedCache(recorder: Recorder): Promise<WorkflowHandle> {
  await cachedName(recorder);
  return await onCache(recorder, 'listCache', {});
}

export async function unpinnedImage(recorder: Recorder): Promise<WorkflowHandle> {
  return await onCache(recorder, 'pinCache', { name: await cachedName(recorder), pinned: false });
}

export async function sweptCache(recorder: Recorder): Promise<WorkflowHandle> {
  await cachedName(recorder);
  return await onCache(recorder, 'sweepCache', { dryRun: false });
}

export async function scrubbedCache(recorder: Recorder): Promise<WorkflowHandle> {
  await cachedName(recorder);
  return await onCache(recorder, 'scrubCache', { names: null, force: true });
}

/** A damaged image is put aside and fetched again. */
export async function damagedImage(recorder: Recorder): Promise<WorkflowHandle> {
  await appendFile(join(recorder.host.paths.cache, await cachedName(recorder)), 'rotten');
  return await onCache(recorder, 'scrubCache', { names: null, force: true });
}
