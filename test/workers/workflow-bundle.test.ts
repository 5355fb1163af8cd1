import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { bundleWorkflows, keptBundlePath, workflowBundle, workflowsDigest } from '../../workers/workflow-bundle.ts';
import { plantBundle, testBundle } from '../fixtures/test-bundle.ts';

async function emptyFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp('/var/tmp/everboot-test-');
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test('a change of any file of the workflows or the domain, however deep, names another bundle', async (t) => {
  const sources = await emptyFolder(t);
  const files = ['package-lock.json', 'workflows/index.ts', 'domain/xml.ts', 'domain/domain-xml/deep/disks.ts'];
  for (const file of files) {
    await mkdir(join(sources, file, '..'), { recursive: true });
    await writeFile(join(sources, file), 'before');
  }
  const digests = new Set([await workflowsDigest(sources)]);
  for (const file of files) {
    await writeFile(join(sources, file), 'after');
    digests.add(await workflowsDigest(sources));
  }
  assert.equal(digests.size, files.length + 1);
});

test('a worker takes the bundle that its state folder keeps of these sources, and no other one', async (t) => {
  const state = await emptyFolder(t);
  await mkdir(join(state, 'workflow-bundles'));
  await writeFile(join(state, 'workflow-bundles', `${'0'.repeat(32)}.js`), 'of another release');
  const { code } = await workflowBundle(state);
  const path = await keptBundlePath(state);
  assert.equal(await readFile(path, 'utf8'), code);
  assert.deepEqual((await readdir(state, { recursive: true })).length, 2, 'the other release’s went');
  await writeFile(path, 'kept');
  assert.equal((await workflowBundle(state)).code, 'kept');
});

test('the product’s workflows wait by the product’s times, and a test’s by shorter ones where it asks for them', async (t) => {
  const state = await emptyFolder(t);
  const heartbeatIn = (code: string) => /heartbeatTimeoutMs: (\d+)/.exec(code)?.[1];
  await plantBundle(state);
  const product = await bundleWorkflows();
  assert.equal(heartbeatIn(product.code), '10000');
  assert.equal((await workflowBundle(state)).code, product.code, 'tests share what a worker would have made');
  assert.equal(heartbeatIn((await testBundle('short')).code), '4000');
});
