import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { InstanceDisk } from '../../../domain/disk-plan.ts';
import type { InstanceResult } from '../../../domain/operations.ts';
import { runProgram } from '../../../hypervisor/process/run-program.ts';
import { domainIds } from '../../fixtures/clean-slate.ts';
import { extractDrive, filesOf } from '../../hypervisor/extract-drive.ts';

const timeoutMs = 60_000;

/**
 * Asserts that an instance is complete, and like the one that an undisturbed run made: the root disk and the kernel
 * byte by byte, what has a random id in it (file systems, the config drive) by everything but that.
 */
export async function assertSameInstance(made: InstanceResult, reference: InstanceResult): Promise<void> {
  assert.deepEqual(
    made.disks.map(({ name, format, virtualSizeBytes }) => ({ name, format, virtualSizeBytes })),
    reference.disks.map(({ name, format, virtualSizeBytes }) => ({ name, format, virtualSizeBytes })),
  );
  for (const [index, disk] of made.disks.entries()) {
    await assertSameDisk(made, disk, { ...reference, disk: reference.disks[index] as InstanceDisk });
  }
  const record = JSON.parse(await readFile(`${made.directory}/everboot.json`, 'utf8'));
  assert.equal(record.state, 'ready');
  assert.equal(await domainXmlOf(made), await domainXmlOf(reference));
  assert.equal((await domainIds()).includes(made.instanceId), made.domain !== undefined);
}

/** The XML for libvirt, without ids, the host's folder, and the domain's name, which has the id's beginning in it. */
async function domainXmlOf({ directory, instanceId }: InstanceResult): Promise<string> {
  const xml = await readFile(`${directory}/libvirt.xml`, 'utf8');
  return xml
    .replaceAll(directory.slice(0, -instanceId.length), '')
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'ID')
    .replaceAll(`-${instanceId.slice(0, 8)}`, '');
}

/** The known contents of the disks of undisturbed runs, by their paths. */
const known = new Map<string, Promise<unknown>>();

async function once<Facts>(path: string, find: () => Promise<Facts>): Promise<Facts> {
  const facts = known.get(path) ?? find();
  known.set(path, facts);
  return (await facts) as Facts;
}

type Other = InstanceResult & { readonly disk: InstanceDisk };

async function assertSameDisk(made: InstanceResult, disk: InstanceDisk, other: Other): Promise<void> {
  switch (disk.name) {
    case 'disk.config':
      assert.deepEqual(
        await driveContents(disk.path, made.instanceId),
        await once(other.disk.path, () => driveContents(other.disk.path, other.instanceId)),
      );
      return;
    case 'disk.local':
    case 'disk.swap':
      await assertUntouched(disk);
      assert.equal(await fileSystemOf(disk), await once(other.disk.path, () => fileSystemOf(other.disk)));
      return;
    case 'disk':
      await compare(disk.format, disk.path, other.disk.format, other.disk.path);
      if (disk.format === 'qcow2') {
        await runProgram('qemu-img', ['check', '-q', '-U', '-f', 'qcow2', disk.path], { timeoutMs });
      }
      return;
    default:
      assert.equal(await hashOf(disk.path), await once(other.disk.path, () => hashOf(other.disk.path)), disk.name);
  }
}

/** Throws when the two disks do not read the same; an overlay reads through its backing file. */
async function compare(format: string, path: string, otherFormat: string, otherPath: string): Promise<void> {
  await runProgram('qemu-img', ['compare', '-q', '-U', '-f', format, '-F', otherFormat, path, otherPath], {
    timeoutMs,
  });
}

/** A new overlay shows nothing but its formatted base. */
async function assertUntouched({ format, path, backingFile }: InstanceDisk): Promise<void> {
  if (format === 'qcow2') await compare('qcow2', path, 'raw', backingFile as string);
}

async function fileSystemOf({ name, path, format, backingFile }: InstanceDisk): Promise<string> {
  const formatted = format === 'qcow2' ? (backingFile as string) : path;
  if (name === 'disk.local') await runProgram('e2fsck', ['-f', '-n', formatted], { timeoutMs });
  const { stdout } = await runProgram('blkid', ['-p', '-o', 'export', formatted], { timeoutMs });
  const kept = /^(LABEL|TYPE|VERSION|BLOCK_SIZE|FSSIZE|FSBLOCKSIZE|FSLASTBLOCK)=/;
  return stdout
    .split('\n')
    .filter((line) => kept.test(line))
    .join('\n');
}

async function driveContents(path: string, instanceId: string): Promise<Record<string, string>> {
  const folder = await mkdtemp('/var/tmp/everboot-test-drive-');
  try {
    await extractDrive(path, 'iso9660', join(folder, 'drive'));
    const files = [...(await filesOf(join(folder, 'drive')))].sort(([one], [two]) => (one < two ? -1 : 1));
    return Object.fromEntries(files.map(([name, bytes]) => [name, withoutIds(bytes.toString('utf8'), instanceId)]));
  } finally {
    // The drive's folders are read-only.
    await runProgram('chmod', ['-R', 'u+w', folder], { timeoutMs });
    await rm(folder, { recursive: true, force: true });
  }
}

function withoutIds(text: string, instanceId: string): string {
  return text
    .replaceAll(instanceId, 'ID')
    .replaceAll(/"random_seed": ?"[^"]*"/g, '"random_seed"')
    .replaceAll(/"([ir])-[0-9a-f]{17}"/g, '"$1"');
}

async function hashOf(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}
