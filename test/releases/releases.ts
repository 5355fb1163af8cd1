import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostActivities } from '../../domain/host-activities.ts';

const checkout = new URL('../../', import.meta.url).pathname;

/** The code of a release, where Node can run it as it is. */
export interface Release {
  readonly name: string;
  /** The folder that has its `cli`, its `workflows` and the rest. */
  readonly root: string;
  remove(): Promise<void>;
}

/** This checkout. */
export const thisCode: Release = { name: 'this code', root: checkout, remove: () => Promise.resolve() };

/** The releases that are kept, the latest last. */
export async function keptReleases(): Promise<readonly string[]> {
  const files = (await readdir(import.meta.dirname)).filter((file) => file.endsWith('.tar.gz'));
  const byNumber = new Intl.Collator('en', { numeric: true });
  return files.map((file) => file.replace(/\.tar\.gz$/, '')).sort(byNumber.compare);
}

/** Unpacks a kept release into a folder of its own. It uses the packages of this checkout. */
export async function unpackRelease(name: string): Promise<Release> {
  const root = await mkdtemp(`/var/tmp/everboot-release-${name}-`);
  execFileSync('tar', ['-xzf', join(import.meta.dirname, `${name}.tar.gz`), '-C', root]);
  await symlink(join(checkout, 'node_modules'), join(root, 'node_modules'));
  return { name, root, remove: () => rm(root, { recursive: true, force: true }) };
}

/** The steps that a release's hosts carry out. */
export async function stepsOf({ root }: Release): Promise<readonly string[]> {
  const { activitiesOn } = await import(join(root, 'activities/index.ts'));
  const activities: HostActivities = activitiesOn({});
  return Object.keys(activities);
}
