import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { findTemporal } from '../../cli/find-temporal.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { readConfiguration } from '../../workers/configuration.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-find-'));
});
after(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function find(toml = '', more: NodeJS.ProcessEnv = {}) {
  const environment = { HOME: folder, ...more };
  const configuration = await readConfiguration({ text: toml, environment, stateDirectory: folder });
  return await findTemporal({ configuration, stateDirectory: folder, environment });
}

/** Runs with the file that a running `up` keeps in the state folder; the pid says whether it still runs. */
async function withUpFile<Made>(pid: number, run: () => Promise<Made>): Promise<Made> {
  const file = join(folder, 'up.json');
  const up = { temporal: '127.0.0.1:7555', ui: null, host: 'host-a', namespace: 'home', pid };
  await writeFile(file, JSON.stringify(up));
  try {
    return await run();
  } finally {
    await rm(file);
  }
}

test('with nothing configured, Temporal is on this machine', async () => {
  assert.deepEqual(await find(), { address: '127.0.0.1:7233', namespace: 'default', foundBy: 'default' });
});

test('a running up of the same state folder is found', async () => {
  const found = await withUpFile(process.pid, () => find());
  assert.deepEqual(found, { address: '127.0.0.1:7555', namespace: 'home', foundBy: 'up' });
});

test('the file of a killed up is ignored', async () => {
  const maxPid = 4_194_304;
  assert.equal((await withUpFile(maxPid + 1, () => find())).foundBy, 'default');
  await writeFile(join(folder, 'up.json'), '{"temporal":');
  assert.equal((await find()).foundBy, 'default');
  await rm(join(folder, 'up.json'));
});

test('the configuration and TEMPORAL_* come first, the configuration before the environment', async () => {
  await withUpFile(process.pid, async () => {
    const environment = { TEMPORAL_ADDRESS: 'temporal.example:7233', TEMPORAL_NAMESPACE: 'boots' };
    const byEnvironment = { address: 'temporal.example:7233', namespace: 'boots', foundBy: 'configuration' };
    assert.deepEqual(await find('', environment), byEnvironment);
    const found = await find('[temporal]\naddress = "other.example:7233"\nnamespace = "ours"\n', environment);
    assert.deepEqual(found, { address: 'other.example:7233', namespace: 'ours', foundBy: 'configuration' });
  });
});

test('a profile gives the address, the key and TLS', async () => {
  const file = join(folder, 'profiles.toml');
  await writeFile(file, '[profile.cloud]\naddress = "cloud.example:7233"\nnamespace = "n"\napi_key = "k"\n');
  const environment = { TEMPORAL_CONFIG_FILE: file };
  const found = await find('[temporal]\nprofile = "cloud"\n', environment);
  const { tls, ...rest } = found;
  assert.deepEqual(rest, { address: 'cloud.example:7233', namespace: 'n', apiKey: 'k', foundBy: 'configuration' });
  assert.ok(tls);
  await assert.rejects(
    find('[temporal]\nprofile = "absent"\n', environment),
    (error) => error instanceof EverbootFailure && error.code === 'ConfigInvalid' && /absent/.test(error.message),
  );
});
