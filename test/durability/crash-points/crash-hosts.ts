import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Host } from '../../../activities/context/host.ts';
import { deleteFiles } from '../../../activities/delete-instance.ts';
import { releaseInstance } from '../../../activities/release-instance.ts';
import type { Claim } from '../../../domain/claim.ts';
import { hostPaths } from '../../../domain/host-paths.ts';
import type { BaseImage } from '../../../domain/image.ts';
import { prepareFolders } from '../../../hypervisor/host/prepare-host.ts';
import { addClaim } from '../../../hypervisor/image-store/claims.ts';
import { writeInstanceRecord } from '../../../hypervisor/instance/instance-record.ts';
import { testConfiguration } from '../../fixtures/test-host.ts';
import { asActivity } from './step-context.ts';

/** The same in every host of a sweep, so that their files are. */
export const claim: Claim = {
  instanceId: '5b3c6f0e-0000-4000-8000-00000000c4a5',
  operationId: '5b3c6f0e-0000-4000-8000-0000000009e7',
};

/** A host in a new folder, with a libvirt that has no machines; `more` is of its `[libvirt]`. */
export async function crashHost(folder: string, more = '', imageRoots = [folder]): Promise<Host> {
  const toml = `[libvirt]\nconnection_uri = "test:///default"\n${more}`;
  const configuration = await testConfiguration(folder, 'crash', toml, imageRoots);
  const paths = hostPaths(configuration.host.instancesPath, configuration.imageCache.subdirectoryName);
  return { configuration, paths, stateDirectory: folder };
}

/** The same, with the instance's directory taken. */
export async function crashHostWithInstance(folder: string, more = '', of: Claim = claim): Promise<Host> {
  const host = await crashHost(folder, more);
  await prepareFolders(host.paths);
  const directory = directoryOf(host, of);
  await mkdir(directory);
  const known = { name: 'web-1', host: 'crash', specDigest: '', cacheNames: [], storage: null } as const;
  const createdAt = '2026-01-01T00:00:00.000Z';
  await writeInstanceRecord(directory, { version: 1, claim: of, ...known, state: 'building', createdAt });
  return host;
}

export function directoryOf({ paths }: Host, of: Claim = claim): string {
  return `${paths.instances}/${of.instanceId}`;
}

const cacheName = 'c'.repeat(40);

/** Where the base image of a sweep's disks is. */
export function baseIn({ paths }: Host): BaseImage {
  return { cacheName, path: join(paths.cache, cacheName), format: 'raw', virtualSizeBytes: 3 * 2 ** 20 };
}

/** Puts a raw base image with a hole in it into the cache, claimed by the instance. */
export async function putBaseImage(host: Host, of: Claim = claim): Promise<void> {
  const { path, virtualSizeBytes } = baseIn(host);
  const bytes = Buffer.alloc(virtualSizeBytes, 'content');
  bytes.fill(0, 2 ** 20, 2 * 2 ** 20);
  await writeFile(path, bytes, { mode: 0o644 });
  await addClaim(host.paths, cacheName, of);
}

/** Takes everything back that the operation made. */
export async function undo(host: Host): Promise<void> {
  await asActivity(() => releaseInstance(host, { claim }));
}

/** Takes everything of the instance away, whichever operation made it. */
export async function undoAll(host: Host): Promise<void> {
  await asActivity(() => deleteFiles(host, { instanceId: claim.instanceId }));
}
