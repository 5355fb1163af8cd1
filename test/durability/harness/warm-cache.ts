import { copyFile, readdir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { type HostPaths, hostPaths } from '../../../domain/host-paths.ts';
import { factsPath, readFacts } from '../../../hypervisor/image-store/base-facts.ts';
import type { Procedure, Step } from './procedures.ts';
import { referenceOf, type Stage } from './stage.ts';

/** The steps that run before every image of an instance is in the cache: what injects them injects a fetch. */
const beforeImages: readonly Step[] = [
  'planInstance',
  'reserveInstance',
  'claimBaseImage',
  'downloadImage',
  'verifyImage',
  'convertImage',
  'publishBaseImage',
];

/** Whether a step is carried out in the same way where the images were in the cache before. */
export function isAfterImages(step: Step): boolean {
  return !beforeImages.includes(step);
}

/**
 * Puts the images into a host's cache as the undisturbed run has left them in its own, and nothing else of that run.
 */
export async function warmCache(stage: Stage, procedure: Procedure, paths: HostPaths): Promise<void> {
  const reference = stage.references.get(referenceOf(procedure));
  if (reference === undefined) throw new Error('there is no undisturbed run to take the images from');
  const warm = hostPaths(dirname(reference.directory), basename(paths.cache));
  for (const name of await readdir(warm.cache)) {
    if ((await readFacts(warm, name)) === undefined) continue;
    await copyFile(`${warm.cache}/${name}`, `${paths.cache}/${name}`);
    await copyFile(factsPath(warm, name), factsPath(paths, name));
  }
}
