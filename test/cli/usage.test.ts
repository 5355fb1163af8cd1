import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { freePort } from '../fixtures/free-port.ts';
import { runEverboot } from './run-everboot.ts';

let folder: string;
let environment: NodeJS.ProcessEnv;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-usage-'));
  const port = await freePort();
  environment = { EVERBOOT_STATE_DIR: folder, TEMPORAL_ADDRESS: `127.0.0.1:${port}` };
});
after(async () => {
  await rm(folder, { recursive: true, force: true });
});

const goodSpec = 'name: web-1\nflavor: m1.tiny\nboot: disks\n';

for (const [args, message] of [
  [[], /a command was expected/],
  [['fly'], /unknown command 'fly'/],
  [['list', '--colour'], /unknown option '--colour'/],
  [['show'], /missing required argument 'id'/],
  [['create'], /required option '-f, --file <spec>'/],
  [['create', '-f', '/nonexistent/spec.yaml'], /cannot be read \(ENOENT\)/],
  [['up', '--port', '99999'], /a port from 1 to 65535/],
  [['list', '--limit', 'many'], /a whole number/],
  [['schema', 'poem'], /Allowed choices are spec, config, result/],
  [['image', 'inspect', '/nonexistent/image.qcow2'], /cannot be read \(ENOENT\)/],
  [['image', 'inspect', '/tmp'], /is no file/],
  [['test', 'titles', 'one-list'], /titles takes two lists of titles/],
  [['test', 'unit', '--minutes', '5'], /--minutes is for `everboot test soak` alone/],
] as const) {
  test(`\`everboot ${args.join(' ')}\` is a mistake of usage`, async () => {
    const [plain, { code, stdout }] = await Promise.all([
      runEverboot(args, environment),
      runEverboot([...args, '--json'], environment),
    ]);
    assert.equal(plain.code, 2);
    assert.equal(plain.stdout, '');
    assert.match(plain.stderr, message);
    assert.match(plain.stderr, /code: UsageInvalid\nwhat to do: /);
    assert.equal(code, 2);
    const { error } = JSON.parse(stdout);
    assert.equal(error.code, 'UsageInvalid');
    assert.match(error.message, message);
    assert.equal(error.retryable, false);
  });
}

test('--help of every command exits with 0 and names --json', async () => {
  const commands = [[], ['create'], ['up'], ['image', 'inspect'], ['schema'], ['demo'], ['test']];
  for (const { code, stdout } of await Promise.all(commands.map((args) => runEverboot([...args, '--help'])))) {
    assert.equal(code, 0);
    assert.match(stdout, /Usage: everboot/);
    assert.match(stdout, /--json/);
  }
});

test('a spec’s errors are reported together, without Temporal, and without its secrets', async () => {
  const spec = 'name: Web_1\nflavor: m1.tiny\nboot: maybe\nadminPassword: [planted]\nuserdata: planted\n';
  const { code, stdout, stderr } = await runEverboot(['create', '-f', '-', '--json'], environment, spec);
  assert.equal(code, 2);
  const { error } = JSON.parse(stdout);
  assert.equal(error.code, 'SpecInvalid');
  assert.equal(error.problems.length, 4);
  assert.doesNotMatch(stdout + stderr, /planted/);
});

test('a configuration’s errors are reported with exit code 2', async () => {
  const file = join(folder, 'wrong.toml');
  await writeFile(file, '[host]\nnaem = "a"\n[libvirt]\nvirt_type = "magic"\n');
  const { code, stdout } = await runEverboot(['list', '--json'], { ...environment, EVERBOOT_CONFIG: file });
  assert.equal(code, 2);
  assert.equal(JSON.parse(stdout).error.code, 'ConfigInvalid');
});

test('no Temporal gives exit code 5, and says which address was tried', async () => {
  const { code, stdout } = await runEverboot(['create', '-f', '-', '--json'], environment, goodSpec);
  assert.equal(code, 5);
  const { error } = JSON.parse(stdout);
  assert.equal(error.code, 'TemporalUnreachable');
  assert.equal(error.retryable, true);
  assert.ok(error.message.includes(environment.TEMPORAL_ADDRESS));
});

test('--dry-run shows the request with its defaults, and of the secrets only their names', async () => {
  const spec = `${goodSpec}adminPassword: planted\n`;
  const { code, stdout } = await runEverboot(['create', '-f', '-', '--dry-run', '--json'], environment, spec);
  assert.equal(code, 0);
  const request = JSON.parse(stdout);
  assert.equal(request.spec.hostname, 'web-1');
  assert.deepEqual(request.flavor, { name: 'm1.tiny', vcpus: 1, memoryMb: 512, rootGb: 1, ephemeralGb: 0, swapMb: 0 });
  assert.deepEqual(request.secrets, ['adminPassword']);
  assert.match(request.specDigest, /^[0-9a-f]{64}$/);
  assert.doesNotMatch(stdout, /planted/);
});

test('each schema is one JSON document', async () => {
  for (const subject of [[], ['spec'], ['config'], ['result']]) {
    const { code, stdout } = await runEverboot(['schema', ...subject], environment);
    assert.equal(code, 0);
    assert.match(JSON.parse(stdout).$schema, /json-schema/);
  }
});

test('keygen makes a pair whose private half only its owner may read', async () => {
  const [publicKeyFile, privateKeyFile] = [join(folder, 'public.json'), join(folder, 'private.json')];
  const args = ['keygen', '--public', publicKeyFile, '--private', privateKeyFile, '--json'];
  const { code, stdout } = await runEverboot(args, environment);
  assert.equal(code, 0);
  const { kid, ...files } = JSON.parse(stdout);
  assert.deepEqual(files, { publicKeyFile, privateKeyFile });
  assert.equal(kid.length, 43);
  assert.equal((await stat(privateKeyFile)).mode & 0o777, 0o600);
});

test('an image is judged by its content: 0 accepted, 3 refused', async () => {
  const file = join(folder, 'image.raw');
  await writeFile(file, Buffer.concat([Buffer.from([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3]), Buffer.alloc(4096)]));
  const refused = await runEverboot(['image', 'inspect', file, '--format', 'raw', '--json'], environment);
  assert.equal(refused.code, 3);
  const document = JSON.parse(refused.stdout);
  const keys = [
    'file',
    'declaredFormat',
    'detectedFormat',
    'virtualSizeBytes',
    'fileSizeBytes',
    'verdict',
    'code',
    'reasons',
  ];
  assert.deepEqual(Object.keys(document), keys);
  assert.deepEqual([document.file, document.verdict], [file, 'refused']);
  await writeFile(file, Buffer.alloc(1024 * 1024));
  const accepted = await runEverboot(['image', 'inspect', file, '--format', 'raw'], environment);
  assert.equal(accepted.code, 0);
  assert.match(accepted.stdout, /image\.raw: accepted/);
});
