import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { MockActivityEnvironment } from '@temporalio/testing';
import type { Host } from '../../activities/context/host.ts';
import { copyBootFile } from '../../activities/copy-boot-file.ts';
import { createBlankDisk } from '../../activities/create-blank-disk.ts';
import { createRootDisk } from '../../activities/create-root-disk.ts';
import { writeConfigDrive } from '../../activities/write-config-drive.ts';
import type { Claim } from '../../domain/claim.ts';
import type { DiskPlan, InstanceDisk } from '../../domain/disk-plan.ts';
import { hostPaths } from '../../domain/host-paths.ts';
import type { BaseImage, ImageDescription } from '../../domain/image.ts';
import { parseSpec } from '../../domain/parse-spec.ts';
import { type FileSuffix, planDisks } from '../../domain/plan-disks.ts';
import { prepareFolders } from '../../hypervisor/host/prepare-host.ts';
import { writeInstanceRecord } from '../../hypervisor/instance/instance-record.ts';
import { testConfiguration } from '../fixtures/test-host.ts';

const mebibyte = 2 ** 20;
const flavor = { name: 'm1.test', vcpus: 1, memoryMb: 512, rootGb: 1, ephemeralGb: 1, swapMb: 8 };

let folder: string;
before(async () => {
  folder = await mkdtemp('/var/tmp/everboot-rescue-');
});
after(() => rm(folder, { recursive: true, force: true }));

async function hostWith(imagesType: string): Promise<Host> {
  const own = join(folder, imagesType);
  await mkdir(own);
  const configuration = await testConfiguration(own, 'test', `[libvirt]\nimages_type = "${imagesType}"`);
  const paths = hostPaths(configuration.host.instancesPath, '_base');
  await prepareFolders(paths);
  return { configuration, paths, stateDirectory: own };
}

/** An image in the cache: so many MiB, the first of them filled. */
async function cachedImage({ paths }: Host, cacheName: string, mebibytes: number): Promise<BaseImage> {
  const path = join(paths.cache, cacheName);
  await writeFile(path, Buffer.alloc(mebibyte, cacheName));
  await truncate(path, mebibytes * mebibyte);
  return { cacheName, path, format: 'raw', virtualSizeBytes: mebibytes * mebibyte };
}

async function newDirectory({ paths }: Host, claim: Claim): Promise<string> {
  const directory = join(paths.instances, claim.instanceId);
  await mkdir(directory);
  const createdAt = new Date().toISOString();
  const known = { name: 'web-1', host: 'test', specDigest: '', cacheNames: [], createdAt } as const;
  await writeInstanceRecord(directory, { version: 1, claim, ...known, state: 'building' });
  return directory;
}

/** Fingerprints that show whether a file was touched: every write changes the time of the last change. */
async function fingerprints(directory: string, names: readonly string[]): Promise<readonly unknown[]> {
  return await Promise.all(
    names.map(async (name) => {
      const { ino, size, blocks, mtimeMs, ctimeMs } = await stat(join(directory, name));
      return { name, ino, size, blocks, mtimeMs, ctimeMs };
    }),
  );
}

for (const imagesType of ['raw', 'qcow2']) {
  test(`rescue files of ${imagesType} are beside the instance’s own, which stay as they are`, async () => {
    const host = await hostWith(imagesType);
    const { libvirt, configDrive } = host.configuration;
    const { spec } = parseSpec({ name: 'web-1', flavor: 'm1.test' });
    const claim = { instanceId: spec.id, operationId: crypto.randomUUID() };
    const directory = await newDirectory(host, claim);
    const kernel = await cachedImage(host, 'a'.repeat(40), 2);

    const planned = (suffix: FileSuffix): DiskPlan => {
      const description: ImageDescription = {
        reference: { glance: '5a36b1a4-2f0e-4c7c-8a56-6b1c2c4f2d11' },
        title: 'image',
        format: 'raw',
        sizeBytes: mebibyte,
        digest: null,
        minDiskGb: 0,
        minRamMb: 0,
        properties: {},
      };
      const settings = { ...libvirt, ...configDrive };
      const boot = { hasKernel: true, hasRamdisk: true, osType: 'linux' };
      return planDisks({ spec, flavor, rootImage: description, settings, ...boot, suffix });
    };
    const make = async (plan: DiskPlan, base: BaseImage): Promise<InstanceDisk[]> => {
      const { root, ephemerals, swap, config, bootFiles } = plan;
      assert.ok(root !== null && config !== null);
      const order = { claim, disk: config, spec: { ...spec, secrets: {} }, disks: plan };
      const steps = [
        () => createRootDisk(host, { claim, disk: root, base }),
        ...[...ephemerals, ...(swap === null ? [] : [swap])].map(
          (disk) => () => createBlankDisk(host, { claim, disk }),
        ),
        () => writeConfigDrive(host, order),
        ...bootFiles.map((disk) => () => copyBootFile(host, { claim, disk, base: kernel })),
      ];
      const made: InstanceDisk[] = [];
      for (const step of steps) made.push((await new MockActivityEnvironment().run(step)) as InstanceDisk);
      return made;
    };

    const own = await make(planned(''), await cachedImage(host, 'b'.repeat(40), 16));
    const ownNames = own.map(({ name }) => name);
    assert.deepEqual(ownNames, ['disk', 'disk.local', 'disk.swap', 'disk.config', 'kernel', 'ramdisk']);
    const before = await fingerprints(directory, ownNames);

    const rescuePlan = planned('.rescue');
    const rescueBase = await cachedImage(host, 'c'.repeat(40), 24);
    const rescue = await make(rescuePlan, rescueBase);
    const rescueNames = rescue.map(({ name }) => name);
    assert.deepEqual(rescueNames, ['disk.rescue', 'disk.config.rescue', 'kernel.rescue', 'ramdisk.rescue']);
    assert.equal(own[0]?.virtualSizeBytes, 2 ** 30, 'the instance’s root has the flavor’s size');
    assert.equal(rescue[0]?.virtualSizeBytes, 24 * mebibyte, 'the rescue’s has its image’s, whatever the flavor');
    assert.deepEqual(await make(rescuePlan, rescueBase), rescue, 'a second run finds them');

    assert.deepEqual(await fingerprints(directory, ownNames), before);
    assert.deepEqual((await readdir(directory)).sort(), ['everboot.json', ...ownNames, ...rescueNames].sort());
  });
}
