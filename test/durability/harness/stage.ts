import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import type { InstanceResult } from '../../../domain/operations.ts';
import { workflowTaskQueue } from '../../../domain/task-queues.ts';
import { closeLibvirt } from '../../../hypervisor/libvirt/libvirt.ts';
import { installTemporalRuntime } from '../../../workers/temporal-runtime.ts';
import { keepEvidence } from '../../fixtures/evidence.ts';
import { makeQcow2Image, makeRawImage, type TestImage } from '../../fixtures/images.ts';
import { testBundle } from '../../fixtures/test-bundle.ts';
import type { Procedure } from './procedures.ts';
import { type FailingFileSystem, mountFailing } from './small-file-systems.ts';

/** The queue of a workflow worker that waits by shorter times, for cases in which a worker is silent. */
export const shortTimesQueue = 'everboot-short-times';

/** The parts that all cases share: a Temporal server, the workflows' worker, the images. */
export interface Stage {
  readonly address: string;
  readonly client: Client;
  readonly connection: NativeConnection;
  readonly folder: string;
  /** Where operations are started: the product's times count there, or those of `shortTimesQueue`. */
  readonly taskQueue: string;
  readonly images: string;
  readonly image: TestImage;
  readonly kernel: TestImage;
  /** The result of an undisturbed run of each procedure. */
  readonly references: Map<string, InstanceResult>;
  failing(): Promise<FailingFileSystem>;
  close(): Promise<void>;
}

export async function openStage(address: string): Promise<Stage> {
  installTemporalRuntime();
  const folder = await mkdtemp('/var/tmp/everboot-test-');
  // QEMU's user gets to the disks of guests that really run.
  await chmod(folder, 0o711);
  const images = join(folder, 'images');
  await mkdir(images);
  const image = await makeQcow2Image(images, 'image.qcow2', 8);
  const kernel = await makeRawImage(images, 'kernel', 2 ** 20);
  const connection = await NativeConnection.connect({ address });
  const control = await Connection.connect({ address });
  const workers = await Promise.all([
    Worker.create({ connection, taskQueue: workflowTaskQueue, workflowBundle: await testBundle('product') }),
    Worker.create({ connection, taskQueue: shortTimesQueue, workflowBundle: await testBundle('short') }),
  ]);
  const running = Promise.all(workers.map((worker) => worker.run()));
  let failing: Promise<FailingFileSystem> | undefined;
  return {
    ...{ address, client: new Client({ connection: control }), connection, folder, images, image, kernel },
    references: new Map(),
    taskQueue: workflowTaskQueue,
    failing() {
      failing ??= mountFailing(join(folder, 'failing-files'), join(folder, 'failing'));
      return failing;
    },
    async close() {
      for (const worker of workers) worker.shutdown();
      await running;
      await closeLibvirt();
      await (await failing)?.unmount();
      await control.close();
      await connection.close();
      await keepEvidence(folder);
      await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
    },
  };
}

/** Procedures that make the same are compared with the same. */
export function referenceOf({ boot, disks, kernel }: Procedure): string {
  return `${boot} ${disks}${kernel ? ' with a kernel' : ''}`;
}
