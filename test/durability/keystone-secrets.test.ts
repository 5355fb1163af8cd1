import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { filesWith } from '../fixtures/files-with.ts';
import { startGlance, type TestGlance } from '../fixtures/glance.ts';
import { makeQcow2Image } from '../fixtures/images.ts';
import { startKeystone, type TestKeystone } from '../fixtures/keystone.ts';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';

let keystone: TestKeystone;
let glance: TestGlance;
let up: RunningEverboot;

before(async () => {
  keystone = await startKeystone();
  glance = await startGlance({ keystone });
  await keystone.register(glance.endpoint);
});
after(async () => {
  await up?.stop();
  await glance?.stop();
  await keystone?.stop();
});

test('a worker with credentials boots a private image, and neither they nor a token are written anywhere', async () => {
  const { user, password, project } = await keystone.tenant('planted');
  const environment = {
    OS_AUTH_URL: keystone.url,
    OS_USERNAME: user,
    OS_PASSWORD: password,
    OS_PROJECT_NAME: project,
    OS_DOMAIN_ID: 'default',
  };
  up = await startEverboot({ command: 'up', environment });
  let said = '';
  up.process().stderr?.on('data', (piece) => {
    said += piece;
  });
  const image = await makeQcow2Image(up.folder);
  const token = await keystone.token({ ...keystone.admin, user, password, project });
  const id = await glance.upload(image.path, { name: 'ours', disk_format: 'qcow2' }, token);
  const flavor = { vcpus: 1, memoryMb: 64, rootGb: 1 };
  const made = await up.json(['create', '-f', '-'], { name: 'ours', flavor, image: { glance: id }, boot: 'disks' });
  assert.equal(made.code, 0, JSON.stringify(made.document));
  const shut = await up.json(['create', '-f', '-'], {
    ...{ name: 'absent', flavor, boot: 'disks' },
    image: { glance: '0c1f0e1a-0000-4000-8000-5f3b1c2d4e5f' },
  });
  assert.equal(shut.document.error.code, 'ImageNotFound');

  // Every token of Keystone's begins with this.
  const secrets = [password, 'gAAAAA'];
  for (const secret of secrets) assert.ok(!`${said}${JSON.stringify([made, shut])}`.includes(secret));
  assert.deepEqual(await filesWith(up.folder, secrets), []);
  // A search that would find nothing anyway proves nothing: the image's id is in the database.
  assert.notDeepEqual(await filesWith(up.folder, [id]), []);
});

test('a worker whose credentials are incomplete ends before it asks for work', async () => {
  const file = join(up.folder, 'clouds.yaml');
  await writeFile(file, 'clouds: {mine: {auth: {auth_url: "http://127.0.0.1:1", password: planted}}}');
  Object.assign(up.environment, { EVERBOOT_GLANCE_CLOUD: 'mine', OS_CLIENT_CONFIG_FILE: file });
  const { code, document } = await up.json(['worker']);
  assert.equal(code, 2);
  assert.equal(document.error.code, 'ConfigInvalid');
  assert.deepEqual(
    document.error.problems.map((line: string) => line.match(/auth\.(\w+): missing/)?.[1]),
    ['username', 'project_name'],
  );
  assert.doesNotMatch(JSON.stringify(document), /planted/);
});
