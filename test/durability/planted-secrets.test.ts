import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { addKeyPair } from '../../hypervisor/secrets/key-pair.ts';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { filesWith } from '../fixtures/files-with.ts';
import { guestReader, makeGuestImage } from '../fixtures/guest-images.ts';
import { digestOf, makeQcow2Image, type TestImage } from '../fixtures/images.ts';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';

let up: RunningEverboot;
let image: TestImage;
before(async () => {
  // What has a config drive is not injected into, so this changes nothing for the drives.
  up = await startEverboot({ command: 'up', toml: '[libvirt]\ninject_partition = 0\ninject_password = true\n' });
  image = await makeQcow2Image(up.folder);
});
after(async () => {
  await up.stop();
});

/** A secret in the forms in which it could leak: as it is, and encoded. */
function planted(): { readonly text: string; readonly forms: readonly string[] } {
  const text = `planted-${randomBytes(12).toString('hex')}`;
  // Base64 of the same bytes at each of the three alignments has a part in common; this one begins at a multiple of 3.
  return { text, forms: [text, Buffer.from(text).toString('base64').slice(0, 28)] };
}

/** The argument lists and the environments of all processes, looked at again and again until the work is done. */
async function watchArguments<Made>(forms: readonly string[], work: Promise<Made>) {
  const leaks = new Set<string>();
  let looks = 0;
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  while (!isDone) {
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      for (const place of ['cmdline', 'environ']) {
        const line = await readFile(`/proc/${pid}/${place}`, 'utf8').catch(() => '');
        if (forms.some((form) => line.includes(form))) leaks.add(line.replaceAll('\0', ' '));
      }
    }
    looks += 1;
  }
  return { made: await done, leaks: [...leaks], looks };
}

test('planted secrets reach the config drive and nothing else', async () => {
  const secrets = { userData: planted(), adminPassword: planted(), file: planted(), vendorData: planted() };
  const forms = Object.values(secrets).flatMap((secret) => secret.forms);
  const spec = {
    name: 'sealed',
    flavor: { vcpus: 1, memoryMb: 128, rootGb: 1, ephemeralGb: 0, swapMb: 0 },
    image: { file: image.path, digest: image.digest, format: 'qcow2' },
    userData: `#cloud-config\n# ${secrets.userData.text}\n`,
    adminPassword: secrets.adminPassword.text,
    files: [{ path: '/etc/secret', content: secrets.file.text }],
    vendorData: { 'cloud-init': secrets.vendorData.text },
    boot: 'defined',
  };
  const { made, leaks, looks } = await watchArguments(
    forms,
    up.run(['create', '-f', '-', '--json'], JSON.stringify(spec)),
  );
  assert.equal(made.code, 0, made.stdout + made.stderr);
  assert.ok(looks > 3, 'the argument lists were looked at while the instance was made');
  assert.deepEqual(leaks, [], 'no argument list held a secret');
  const { instanceId, directory } = JSON.parse(made.stdout);
  const shown = await up.run(['show', instanceId, '--json']);
  const listed = await up.run(['list', '--json']);
  for (const { stdout, stderr } of [made, shown, listed])
    for (const form of forms) assert.ok(!stdout.includes(form) && !stderr.includes(form), 'no output held a secret');

  const drive = join(directory, 'disk.config');
  assert.deepEqual(await filesWith(up.folder, forms), [drive], 'Temporal’s database, the logs, the record: nothing');
  assert.ok((await readdir(up.stateDirectory)).includes('temporal.db'), 'the database was among the files');
  assert.equal((await stat(drive)).mode & 0o077, 0, 'only its owner may read the drive');
  const files = ['user_data', 'vendor_data.json'].map((name) => `/openstack/latest/${name}`);
  const { stdout } = await runProgram(
    'xorriso',
    ['-osirrox', 'on', '-indev', drive, '-concat', 'append', '-', ...files, '--'],
    { timeoutMs: 20_000 },
  );
  for (const { text } of [secrets.userData, secrets.vendorData]) assert.ok(stdout.includes(text), 'the guest gets it');

  await up.json(['delete', instanceId]);
  assert.deepEqual(await filesWith(up.folder, forms), [], 'nothing is left of the secrets');
});

test('planted secrets reach the root disk that they are injected into and nothing else', async () => {
  const secrets = { userData: planted(), adminPassword: planted(), path: planted(), file: planted() };
  const forms = Object.values(secrets).flatMap((secret) => secret.forms);
  const path = await makeGuestImage(join(up.folder, 'guest'));
  const digest = await digestOf(path);
  const spec = (files: object[]) => ({
    name: 'injected',
    flavor: { vcpus: 1, memoryMb: 128, rootGb: 0, ephemeralGb: 0, swapMb: 0 },
    image: { file: path, format: 'raw', digest },
    configDrive: false,
    userData: secrets.userData.text,
    adminPassword: secrets.adminPassword.text,
    files,
    boot: 'disks',
  });
  const file = { path: `/etc/${secrets.path.text}`, content: secrets.file.text, mode: '0600' };
  const { made, leaks } = await watchArguments(
    forms,
    up.run(['create', '-f', '-', '--json'], JSON.stringify(spec([file]))),
  );
  assert.equal(made.code, 0, made.stdout + made.stderr);
  assert.deepEqual(leaks, [], 'no argument list and no environment held a secret');
  const { instanceId, directory } = JSON.parse(made.stdout);
  const disk = join(directory, 'disk');
  assert.deepEqual(await filesWith(up.folder, forms), [disk], 'Temporal’s database, the logs, the record: nothing');
  assert.equal((await stat(disk)).mode & 0o007, 0, 'not everybody may read the disk');
  const raw = join(up.folder, 'raw');
  await runProgram('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', disk, raw], { timeoutMs: 20_000 });
  const guest = guestReader(raw);
  assert.equal(await guest.text(file.path), secrets.file.text, 'the guest gets what was sealed');
  assert.match(await guest.text('/etc/shadow'), /^root:\$6\$/m);
  assert.ok(!(await readFile(raw)).includes(secrets.adminPassword.text), 'of the password it has the hash');
  await rm(raw);
  await up.json(['delete', instanceId]);

  const failed = await up.run(
    ['create', '-f', '-', '--json'],
    JSON.stringify(spec([{ ...file, path: `/etc/hostname/${secrets.path.text}` }])),
  );
  assert.equal(failed.code, 3, failed.stdout + failed.stderr);
  assert.equal(JSON.parse(failed.stdout).error.code, 'ImageUnacceptable');
  assert.ok(!forms.some((form) => (failed.stdout + failed.stderr).includes(form)), 'no failure quotes a secret');
  assert.deepEqual(await filesWith(up.folder, forms), [], 'nothing is left of the secrets');
});

test('a wrong secret is refused without being quoted', async () => {
  const secret = planted();
  const { code, document } = await up.json(['create', '-f', '-'], {
    name: 'sealed',
    flavor: 'm1.tiny',
    userData: { base64: `***${secret.text}` },
    adminPassword: [secret.text],
    files: [{ path: secret.text, content: 7 }],
    vendorData: secret.text,
  });
  assert.equal(code, 2);
  assert.equal(document.error.code, 'SpecInvalid');
  for (const form of secret.forms) assert.ok(!JSON.stringify(document).includes(form));
});

test('what was sealed for a key that the host does not have fails the boot, and no drive is written', async () => {
  const secret = planted();
  const [publicKeyFile, privateKeyFile] = [join(up.folder, 'other.json'), join(up.folder, 'other-private.json')];
  const kid = await addKeyPair(publicKeyFile, privateKeyFile);
  up.environment.EVERBOOT_SECRETS_PUBLIC_KEY_FILE = publicKeyFile;
  try {
    const { code, document } = await up.json(['create', '-f', '-'], {
      name: 'sealed',
      flavor: { vcpus: 1, memoryMb: 128, rootGb: 0, ephemeralGb: 0, swapMb: 0 },
      vendorData: { 'cloud-init': secret.text },
      boot: 'disks',
    });
    assert.equal(code, 1);
    assert.equal(document.error.code, 'SecretUnreadable');
    assert.equal(document.error.step, 'writeConfigDrive');
    assert.ok(document.error.message.includes(kid), document.error.message);
    assert.deepEqual(await filesWith(up.folder, secret.forms), []);
    await assertCleanSlate(up.paths, [document.error.instanceId]);
  } finally {
    delete up.environment.EVERBOOT_SECRETS_PUBLIC_KEY_FILE;
  }
});

test('without a public key a spec with secrets is refused', async () => {
  const environment = { EVERBOOT_SECRETS_PUBLIC_KEY_FILE: join(up.folder, 'absent.json') };
  Object.assign(up.environment, environment);
  try {
    const { code, document } = await up.json(['create', '-f', '-'], {
      name: 'sealed',
      flavor: 'm1.tiny',
      adminPassword: 'x',
    });
    assert.equal(document.error.code, 'SecretKeyMissing');
    assert.equal(code, 2);
  } finally {
    for (const name of Object.keys(environment)) delete up.environment[name];
  }
});
