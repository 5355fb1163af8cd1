import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LibvirtSettings } from '../../../domain/configuration.ts';
import type {
  DiskFormat,
  DiskStorage,
  InstanceDisk,
  PlannedEphemeralDisk,
  PlannedRootDisk,
  PlannedSwapDisk,
} from '../../../domain/disk-plan.ts';
import { diskSource } from '../../../domain/disk-source.ts';
import { libvirtDiskType, sourceElements } from '../../../domain/disk-source-xml.ts';
import { EverbootFailure } from '../../../domain/failures.ts';
import type { BaseImage } from '../../../domain/image.ts';
import type { WorkControl } from '../../../domain/step-progress.ts';
import { renderXml } from '../../../domain/xml.ts';
import { backendOf, removeOutsideDisks } from '../../../hypervisor/backends/backend-of.ts';
import type { BackendContext } from '../../../hypervisor/backends/disk-backend.ts';

const mebibyte = 2 ** 20;
const control: WorkControl = { signal: new AbortController().signal, onProgress: () => undefined };

/** A backend as the contract needs it. */
export interface BackendUnderTest {
  readonly settings: LibvirtSettings;
  /** How a plan's disks are kept in it. */
  readonly kept: { readonly format: DiskFormat; readonly storage?: DiskStorage };
  /** A new instance’s directory, with a claim of its own. */
  newInstance(): Promise<BackendContext>;
  /** A disk as the guest would read it, in a raw file in that folder. */
  guestView(made: InstanceDisk, folder: string): Promise<string>;
  /** Everything that is kept for the instance, under whatever name. */
  leftOf(context: BackendContext): Promise<readonly string[]>;
  /** Takes a file disk's directory away, as undo does; the other disks are the backend's to remove. */
  removeDirectory(context: BackendContext): Promise<void>;
  /** An instance for which there is no room for 200 MiB. */
  newInstanceWithoutRoom(): Promise<{ readonly context: BackendContext; readonly settings: LibvirtSettings }>;
  /** The root disk in the domain's XML. */
  readonly xmlOfRoot: RegExp;
  stop(): Promise<void>;
}

/** The contract of every backend. */
export function backendContract(name: string, start: () => Promise<BackendUnderTest>): void {
  describe(`${name} disks`, () => {
    let under: BackendUnderTest;
    let folder: string;
    let bases: readonly BaseImage[];
    before(async () => {
      folder = await mkdtemp('/var/tmp/everboot-contract-');
      bases = await makeBases(folder);
      under = await start();
    });
    after(async () => {
      await under?.stop();
      await rm(folder, { recursive: true, force: true });
    });

    const rootDisk = (sizeBytes: number | null): PlannedRootDisk => {
      return { kind: 'root', name: 'disk', device: 'vda', bus: 'virtio', ...under.kept, sizeBytes };
    };
    const ephemeral = (): PlannedEphemeralDisk => {
      const shape = { fileSystem: 'ext4', label: 'ephemeral0', sizeBytes: 64 * mebibyte };
      return { kind: 'ephemeral', name: 'disk.local', device: 'vdb', bus: 'virtio', ...under.kept, ...shape };
    };
    const swap = (): PlannedSwapDisk => {
      return { kind: 'swap', name: 'disk.swap', device: 'vdc', bus: 'virtio', ...under.kept, sizeBytes: 16 * mebibyte };
    };
    const makeRoot = (context: BackendContext, mebibytes: number, base = raw(), settings = under.settings) => {
      const disk = rootDisk(mebibytes * mebibyte);
      return backendOf(disk, settings).makeRoot(disk, base, context, control);
    };
    const makeBlank = (context: BackendContext, disk: PlannedEphemeralDisk | PlannedSwapDisk) =>
      backendOf(disk, under.settings).makeBlank(disk, context, control);
    const raw = (): BaseImage => bases[0] as BaseImage;
    const remove = async (context: BackendContext): Promise<void> => {
      await removeOutsideDisks(under.settings, context.claim, control);
      await under.removeDirectory(context);
    };

    test('a root disk has its base’s content, then zeros, and its planned size', async () => {
      for (const base of bases.slice(0, 2)) {
        const context = await under.newInstance();
        const made = await makeRoot(context, 100, base);
        assert.equal(made.name, 'disk');
        assert.equal(made.virtualSizeBytes, 100 * mebibyte);
        const view = await under.guestView(made, folder);
        run('qemu-img', ['compare', '-q', '-f', 'raw', '-F', 'raw', view, raw().path]);
        assert.deepEqual(await under.leftOf(context), ['disk'], 'no temporary name is left');
        await remove(context);
      }
    });

    test('a root disk that is there already is only made larger', async () => {
      const context = await under.newInstance();
      const first = await makeRoot(context, 80);
      assert.deepEqual(await makeRoot(context, 80), first);
      assert.equal((await makeRoot(context, 100)).virtualSizeBytes, 100 * mebibyte);
      const made = await makeRoot(context, 72);
      assert.equal(made.virtualSizeBytes, 100 * mebibyte);
      const view = await under.guestView(made, folder);
      run('qemu-img', ['compare', '-q', '-f', 'raw', '-F', 'raw', view, raw().path]);
      await remove(context);
    });

    test('a root disk that is smaller than its image is refused, and nothing is made', async () => {
      const context = await under.newInstance();
      await assert.rejects(makeRoot(context, 63), failsWith('FlavorDiskTooSmall'));
      assert.deepEqual(await under.leftOf(context), []);
      await remove(context);
    });

    test('ephemeral disks and swaps are formatted, and a second run finds them', async () => {
      const context = await under.newInstance();
      const made = await makeBlank(context, ephemeral());
      assert.equal(made.virtualSizeBytes, 64 * mebibyte);
      const view = await under.guestView(made, folder);
      assert.match(run('blkid', ['-p', view]), /LABEL="ephemeral0".*TYPE="ext4"/);
      run('e2fsck', ['-n', '-f', view]);
      const swapDisk = await makeBlank(context, swap());
      assert.match(run('blkid', ['-p', await under.guestView(swapDisk, folder)]), /TYPE="swap"/);
      assert.deepEqual(await makeBlank(context, ephemeral()), made);
      assert.deepEqual(await makeBlank(context, swap()), swapDisk);
      assert.deepEqual([...(await under.leftOf(context))].sort(), ['disk.local', 'disk.swap']);
      await remove(context);
    });

    test('undo removes what carries its claim, whatever is left of it, and nothing else', async () => {
      const [mine, other] = [await under.newInstance(), await under.newInstance()];
      await makeRoot(mine, 80);
      await makeBlank(mine, swap());
      const others = await makeRoot(other, 80);
      await remove(mine);
      assert.deepEqual(await under.leftOf(mine), []);
      await removeOutsideDisks(under.settings, mine.claim, control);
      const stranger = { ...other.claim, operationId: mine.claim.operationId };
      await removeOutsideDisks(under.settings, stranger, control);
      assert.deepEqual(await makeRoot(other, 80), others, 'the other one is untouched');
      await remove(other);
      assert.deepEqual(await under.leftOf(other), []);
    });

    test('without room nothing is left, and the failure says so', async () => {
      const { context, settings } = await under.newInstanceWithoutRoom();
      const large = bases[2] as BaseImage;
      await assert.rejects(makeRoot(context, 256, large, settings), failsWith('InsufficientSpace'));
      await removeOutsideDisks(settings, context.claim, control);
      assert.deepEqual(await under.leftOf(context), []);
      await under.removeDirectory(context);
    });

    test('a worker that is killed in the middle leaves no disk under its final name but a whole one', async () => {
      const large = bases[2] as BaseImage;
      let injected = 0;
      for (let attempt = 0; attempt < 5 && injected === 0; attempt++) {
        const context = await under.newInstance();
        if (await killInTheMiddle(under, { context, disk: rootDisk(208 * mebibyte), base: large })) injected += 1;
        const made = await asWorkflow(() => makeRoot(context, 208, large));
        const view = await under.guestView(made, folder);
        run('qemu-img', ['compare', '-q', '-f', 'raw', '-F', 'raw', view, large.path]);
        await asWorkflow(() => remove(context));
        assert.deepEqual(await under.leftOf(context), []);
      }
      assert.ok(injected > 0, 'a kill came when there was a disk under its temporary name');
    });

    test('the domain’s XML names where the disk is', async () => {
      const context = await under.newInstance();
      const { directory, claim } = context;
      const place = { instanceId: claim.instanceId, directory, settings: under.settings };
      const source = diskSource(rootDisk(null), place);
      const xml = sourceElements(source).map((element) => renderXml(element));
      assert.match(`${libvirtDiskType(source)} ${xml.join('')}`, under.xmlOfRoot);
      await remove(context);
    });
  });
}

function failsWith(code: string) {
  return (error: unknown) => error instanceof EverbootFailure && error.code === code;
}

function run(program: string, args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** 64 MiB with a hole, raw and as qcow2; and 200 MiB without one. */
async function makeBases(folder: string): Promise<readonly BaseImage[]> {
  const [raw, qcow2, large] = ['base.raw', 'base.qcow2', 'large.raw'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  run('dd', ['if=/dev/urandom', `of=${raw}`, 'bs=1M', 'count=8', 'status=none']);
  run('dd', ['if=/dev/urandom', `of=${raw}`, 'bs=1M', 'count=4', 'seek=40', 'conv=notrunc', 'status=none']);
  await truncate(raw, 64 * mebibyte);
  run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, qcow2]);
  run('dd', ['if=/dev/urandom', `of=${large}`, 'bs=1M', 'count=200', 'status=none']);
  const size = 64 * mebibyte;
  return [
    { cacheName: 'base.raw', path: raw, format: 'raw', virtualSizeBytes: size },
    { cacheName: 'base.qcow2', path: qcow2, format: 'qcow2', virtualSizeBytes: size },
    { cacheName: 'large.raw', path: large, format: 'raw', virtualSizeBytes: 200 * mebibyte },
  ];
}

interface KilledWork {
  readonly context: BackendContext;
  readonly disk: PlannedRootDisk;
  readonly base: BaseImage;
}

/**
 * Does a step again while what it needs is still held by a client that was killed, as its workflow does: Ceph sees only
 * after half a minute that a client is gone.
 */
export async function asWorkflow<Result>(step: () => Promise<Result>): Promise<Result> {
  const deadline = Date.now() + 300_000;
  for (;;) {
    try {
      return await step();
    } catch (error) {
      if (!failsWith('StorageUnavailable')(error) || Date.now() > deadline) throw error;
      await sleep(1000);
    }
  }
}

/**
 * Kills a process that makes a root disk as soon as something of it is there, and says whether it was partial. However
 * late that is seen on a busy machine: a process that hears of progress goes no further by itself.
 */
async function killInTheMiddle(under: BackendUnderTest, { context, disk, base }: KilledWork): Promise<boolean> {
  const url = new URL('../../../hypervisor/backends/backend-of.ts', import.meta.url).href;
  const script = `
    import { backendOf } from ${JSON.stringify(url)};
    const [settings, context, disk, base] = JSON.parse(process.argv[1]);
    const onProgress = () => process.kill(process.pid, 'SIGKILL');
    const control = { signal: new AbortController().signal, onProgress };
    await backendOf(disk, settings).makeRoot(disk, base, { ...context, heldLocks: [] }, control);
    setInterval(() => undefined, 1000);`;
  const input = JSON.stringify([under.settings, context, disk, base]);
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, input], { stdio: 'inherit' });
  const ended = once(child, 'exit');
  let left: readonly string[] = [];
  while (left.length === 0 && child.exitCode === null && child.signalCode === null) left = await under.leftOf(context);
  child.kill('SIGKILL');
  assert.deepEqual(await ended, [null, 'SIGKILL']);
  if (left.length === 0) left = await under.leftOf(context);
  return left.some((name) => name.endsWith('.everboot-tmp'));
}
