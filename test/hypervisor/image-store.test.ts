import assert from 'node:assert/strict';
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../..');

/** The states of a base's life, in the order in which the store's own description has them. */
async function statesOfTheStore(): Promise<string[]> {
  const text = await readFile(join(root, 'hypervisor/image-store/image-store.ts'), 'utf8');
  return [...text.matchAll(/^ \* - (\w+): /gm)].map(([, state]) => state ?? '');
}

test('the page on image flow has the states of the store, in their order', async () => {
  const page = await readFile(join(root, 'docs/image-flow.md'), 'utf8');
  const states = [...page.matchAll(/^\d+\. \*\*(\w+)\.\*\*/gm)].map(([, state]) => state?.toLowerCase());
  assert.deepEqual(states, await statesOfTheStore());
  assert.equal(states.length, 9);
});

/** The functions that files of the store may use to give a file another name, and what for. */
const givingNames = {
  'download/part-state.ts': ['publishText'], // the sidecar of a part
  'fetch-lease.ts': ['rename'], // a lease, which is no base
  'ingest/commit.ts': ['rename'], // the one that gives a base's name
  'maintenance/quarantine.ts': ['rename'], // the one that takes it away
} satisfies Record<string, string[]>;

test('only commit gives a file the name of a base', async () => {
  const found: Record<string, string[]> = {};
  const folder = join(root, 'hypervisor/image-store');
  for await (const file of glob('**/*.ts', { cwd: folder })) {
    const names = namesGivenBy(await readFile(join(folder, file), 'utf8'));
    if (names.length > 0) found[file] = names;
  }
  assert.deepEqual(found, givingNames);
  // Nobody else knows a path in the cache but by its store, see the import rules.
  for await (const file of glob('{activities,hypervisor,workers}/**/*.ts', { cwd: root })) {
    if (file.startsWith('hypervisor/image-store/')) continue;
    const text = await readFile(join(root, file), 'utf8');
    if (/\bpaths\.cache\b/.test(text)) assert.deepEqual(namesGivenBy(text), [], file);
  }
});

/** The functions that a file imports and that give a file a name. */
function namesGivenBy(text: string): string[] {
  const imports = text.matchAll(
    /^import \{([^}]*)\} from '(?:node:fs(?:\/promises)?|.*\/publish-(?:file|disk)\.ts)';/gm,
  );
  const names = [...imports].flatMap(([, list = '']) => list.split(',').map((name) => name.trim()));
  return names.filter((name) =>
    /^(rename|link|symlink|copyFile|cp|publishFile|publishText|publishDisk)(Sync)?\b/.test(name),
  );
}
