import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure, CancelledFailure, WorkflowFailedError } from '@temporalio/client';
import { queryWorkflow } from '../../client/temporal/workflow-calls.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { type InstanceResult, instanceWorkflowId } from '../../domain/operations.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { guestReader, guestTree, makeGuestImage } from '../fixtures/guest-images.ts';
import { digestOf } from '../fixtures/images.ts';
import { guestfishUsers } from '../fixtures/processes.ts';
import { startTestHost, type TestHost } from '../fixtures/test-host.ts';

const toml = '[libvirt]\ninject_partition = 0\ninject_key = true\nresize_fs_using_block_device = true\n';
const key = 'ssh-ed25519 AAAAC3Nza alice@example';

let host: TestHost;
let spec: Record<string, unknown>;
before(async () => {
  host = await startTestHost({ toml });
  const files = { ...guestTree, 'root/.ssh/authorized_keys': '' };
  const path = await makeGuestImage(join(host.folder, 'image'), { files });
  spec = {
    image: { file: path, digest: await digestOf(path), format: 'raw' },
    flavor: { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 0, swapMb: 0 },
    configDrive: false,
    sshKeys: [key],
    metadata: { role: 'web' },
    networkData: {
      links: [{ id: 'a', ethernet_mac_address: '52:54:00:12:34:56' }],
      networks: [{ type: 'ipv4', link: 'a', ip_address: '192.0.2.5', netmask: '255.255.255.0' }],
    },
    boot: 'disks',
  };
});
after(async () => {
  await host.stop();
});

const handleOf = (id: string) => host.client.workflow.getHandle(instanceWorkflowId(id));
const notGrown = { resized: false, note: '' };

test('the root file system grows and is injected into before the guest sees it, and injection may run twice', async () => {
  const made: unknown[] = [];
  host.inject = async (step, run) => {
    if (step !== 'injectFiles' && step !== 'growFileSystem') return await run();
    made.push(await run());
    if (step === 'injectFiles') made.push(await run());
    return made.at(-1);
  };
  const { id } = (await host.create(spec)).spec;
  const { disks, directory } = (await handleOf(id).result()) as InstanceResult;
  const report = { injected: ['ssh keys', 'network interfaces', 'metadata'], warnings: [] };
  const note = `the ext4 was grown from ${64 * 2 ** 20} to ${2 ** 30} bytes`;
  assert.deepEqual(made, [{ resized: true, note }, report, report]);
  assert.deepEqual(
    disks.map(({ name }) => name),
    ['disk'],
  );
  // A step that takes long is looked after by pings in between.
  const ran = host.ran.filter((step) => step !== 'pingHost');
  assert.deepEqual(ran.slice(-4), ['createRootDisk', 'growFileSystem', 'injectFiles', 'markReady']);

  const { steps } = await queryWorkflow(handleOf(id), 'progress');
  const summaryOf = (name: string) => steps.find(({ step }) => step === name)?.summary;
  assert.equal(summaryOf('growFileSystem'), `root file system: ${note}`);
  assert.equal(summaryOf('injectFiles'), 'injection for test: ssh keys, network interfaces, metadata');

  const raw = `${directory}/disk.raw`;
  const timeoutMs = 60_000;
  await runProgram('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', `${directory}/disk`, raw], { timeoutMs });
  await runProgram('e2fsck', ['-f', '-n', raw], { timeoutMs });
  const guest = guestReader(raw);
  assert.equal(
    await guest.text('/root/.ssh/authorized_keys'),
    `\n# These ssh keys were injected by everboot\n${key}\n`,
  );
  assert.match(await guest.text('/etc/network/interfaces'), /^ {4}address 192\.0\.2\.5$/m);
  assert.equal(await guest.text('/meta.js'), '{"role":"web"}');

  await host.remove(id);
  await assertCleanSlate(host.paths, [id]);
});

test('an injection that fails permanently undoes everything', async () => {
  host.inject = async (step, run) => {
    if (step === 'growFileSystem') return notGrown;
    if (step !== 'injectFiles') return await run();
    throw new EverbootFailure('ImageUnacceptable', 'injected');
  };
  const { id } = (await host.create(spec)).spec;
  await assert.rejects(handleOf(id).result(), (error: unknown) => {
    assert.ok(error instanceof WorkflowFailedError && error.cause instanceof ApplicationFailure);
    assert.equal(error.cause.type, 'ImageUnacceptable');
    const [report] = (error.cause.details ?? []) as { step?: string }[];
    assert.equal(report?.step, 'injectFiles');
    return true;
  });
  await assertCleanSlate(host.paths, [id]);
});

test('a boot that is cancelled while its appliance runs ends it, and leaves nothing', async () => {
  host.inject = async (step, run) => (step === 'growFileSystem' ? notGrown : await run());
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
