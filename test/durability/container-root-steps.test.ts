import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure, CancelledFailure, WorkflowFailedError } from '@temporalio/client';
import { EverbootFailure } from '../../domain/failures.ts';
import { type InstanceResult, instanceWorkflowId } from '../../domain/operations.ts';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { makeGuestImage } from '../fixtures/guest-images.ts';
import { digestOf } from '../fixtures/images.ts';
import { guestfishUsers } from '../fixtures/processes.ts';
import { startTestHost, type TestHost } from '../fixtures/test-host.ts';

const skip = process.getuid?.() === 0 ? false : 'only root makes containers';

let host: TestHost;
let spec: Record<string, unknown>;
before(async () => {
  host = await startTestHost({ virtType: 'lxc', toml: '[libvirt]\nconnection_uri = "lxc:///system"\n' });
  const path = await makeGuestImage(join(host.folder, 'image'));
  const image = { file: path, digest: await digestOf(path), format: 'raw' };
  spec = { image, configDrive: false, boot: 'disks' };
});
after(() => host.stop());

const handleOf = (id: string) => host.client.workflow.getHandle(instanceWorkflowId(id));

test('a container’s root is made once when its step runs twice, and removed with the instance', { skip }, async () => {
  host.inject = async (step, run) => {
    if (step === 'extractRootFileSystem') await run();
    return await run();
  };
  const { id } = (await host.create(spec)).spec;
  const { directory } = (await handleOf(id).result()) as InstanceResult;
  assert.ok((await readdir(join(directory, 'rootfs'))).includes('etc'));
  await host.remove(id);
  await assertCleanSlate(host.paths, [id]);
});

test('a container’s root that fails permanently undoes everything', { skip }, async () => {
  host.inject = async (step, run) => {
    if (step !== 'extractRootFileSystem') return await run();
    throw new EverbootFailure('ImageUnacceptable', 'injected');
  };
  const { id } = (await host.create(spec)).spec;
  await assert.rejects(handleOf(id).result(), (error: unknown) => {
    assert.ok(error instanceof WorkflowFailedError && error.cause instanceof ApplicationFailure);
    const [report] = (error.cause.details ?? []) as { step?: string }[];
    assert.deepEqual([error.cause.type, report?.step], ['ImageUnacceptable', 'extractRootFileSystem']);
    return true;
  });
  await assertCleanSlate(host.paths, [id]);
});

test('a boot that is cancelled while a container’s files are packed leaves nothing', { skip }, async () => {
  host.inject = undefined;
  const { id } = (await host.create(spec)).spec;
  const disk = `${host.paths.instances}/${id}/disk`;
  while ((await guestfishUsers(disk)).length === 0) await sleep(10);
  await handleOf(id).cancel();
  await assert.rejects(
    handleOf(id).result(),
    (error) => error instanceof WorkflowFailedError && error.cause instanceof CancelledFailure,
  );
  assert.deepEqual(await guestfishUsers(disk), []);
  await assertCleanSlate(host.paths, [id]);
});
