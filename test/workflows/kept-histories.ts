import { glob, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { shapes } from './record-histories/shapes.ts';

const folder = new URL('../histories/', import.meta.url).pathname;

/** The histories of what is not released yet are in this folder. It gets the release's name when there is one. */
export const unreleased = 'unreleased';

/**
 * The shapes of history that each release wrote, and that its folder has to hold. Runs that it began may still be open,
 * so what it recorded is never recorded again.
 */
export const requiredShapes: Readonly<Record<string, readonly string[]>> = {
  '0.1': [
    ...[
      'create-cold',
      'create-warm',
      'create-retried',
      'create-failed',
      'create-cancelled',
      'create-injected',
      'delete',
    ],
    ...['cache-precache', 'cache-list', 'cache-sweep', 'cache-scrub', 'cache-scrub-damaged'],
  ],
  [unreleased]: Object.keys(shapes),
};

export interface KeptHistory {
  readonly release: string;
  readonly shape: string;
  readonly workflowType: string;
  /** As Temporal's command line and its UI write it. */
  readonly history: { readonly events: readonly any[] };
}

/** Every history that is kept, by release and shape. */
export async function keptHistories(): Promise<readonly KeptHistory[]> {
  const paths: string[] = [];
  for await (const path of glob('*/*.json', { cwd: folder })) paths.push(path);
  return await Promise.all(
    paths.sort().map(async (path) => {
      const history = JSON.parse(await readFile(join(folder, path), 'utf8'));
      const workflowType: string = history.events[0].workflowExecutionStartedEventAttributes.workflowType.name;
      return { release: dirname(path), shape: basename(path, '.json'), workflowType, history };
    }),
  );
}

/** The activities that a history asked hosts for. */
export function activitiesOf({ history }: KeptHistory): readonly string[] {
  const scheduled = history.events.map((event) => event.activityTaskScheduledEventAttributes?.activityType?.name);
  return scheduled.filter((name) => name !== undefined);
}
