import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { rootCertificates } from 'node:tls';
import { inspect } from 'node:util';
import type { EverbootFailure } from '../../domain/failures.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { readGlanceCredentials } from '../../workers/glance-credentials.ts';
import { runEverboot } from '../cli/run-everboot.ts';
import { stateDirectory } from '../fixtures/state-directory.ts';

const complete = `
clouds:
  mine:
    auth:
      auth_url: https://keystone.example:5000/v3/
      username: nova
      user_domain_name: Default
      password: planted-secret
      project_name: service
      project_domain_id: default
    region_name: RegionOne
    interface: internal
`;

const expected = {
  cloud: 'mine',
  authUrl: 'https://keystone.example:5000',
  login: {
    method: 'password',
    user: { name: 'nova', domain: { name: 'Default' } },
    password: 'planted-secret',
    project: { name: 'service', domain: { id: 'default' } },
  },
  regionName: 'RegionOne',
  interface: 'internal',
  imageEndpointOverride: null,
  caCertificates: null,
};

const variables = {
  OS_AUTH_URL: 'http://keystone.example/identity/v3',
  OS_USERNAME: 'nova',
  OS_PASSWORD: 'planted-secret',
  OS_PROJECT_NAME: 'service',
  OS_USER_DOMAIN_NAME: 'Default',
  OS_PROJECT_DOMAIN_NAME: 'Default',
};

/** A home and a working directory with these files. */
async function machine(t: TestContext, files: Readonly<Record<string, string>>) {
  const folder = await mkdtemp(join(tmpdir(), 'everboot-clouds-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const [home, here] = [join(folder, 'home'), join(folder, 'here')];
  for (const place of [home, here]) await mkdir(place);
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  const read = (cloud: string | null, environment: Readonly<Record<string, string>> = {}) =>
    readGlanceCredentials(cloud, { HOME: home, ...environment }, here);
  return { folder, home, here, read };
}

/** A refusal with these lines, and nothing secret in anything that it carries. */
async function refused(work: Promise<unknown>, message: RegExp, problems: readonly RegExp[] = []): Promise<void> {
  await assert.rejects(work, (error: EverbootFailure) => {
    assert.equal(error.code, 'ConfigInvalid', error.stack);
    assert.match(error.message, message);
    assert.equal(error.problems.length, problems.length, error.problems.join('\n'));
    for (const [at, problem] of problems.entries()) assert.match(error.problems[at] ?? '', problem);
    assert.doesNotMatch(inspect(error, { depth: 20, showHidden: true }), /planted-secret/);
    return true;
  });
}

test('a cloud is looked for in the working directory, then at home; a file that is named goes first', async (t) => {
  const { folder, here, read } = await machine(t, { 'home/.config/openstack/clouds.yaml': complete });
  assert.deepEqual(await read('mine'), expected);
  await writeFile(join(here, 'clouds.yaml'), complete.replace('RegionOne', 'Here'));
  assert.equal((await read('mine'))?.regionName, 'Here');
  await writeFile(join(folder, 'named.yml'), complete.replace('RegionOne', 'Named'));
  assert.equal((await read('mine', { OS_CLIENT_CONFIG_FILE: join(folder, 'named.yml') }))?.regionName, 'Named');
});

test('secure.yaml adds what is secret, from whichever of the folders', async (t) => {
  const secure = 'clouds: {mine: {auth: {password: other-secret}}}';
  const open = complete.replace('      password: planted-secret\n', '');
  const { folder, read } = await machine(t, { 'here/clouds.yaml': open, 'home/.config/openstack/secure.yaml': secure });
  assert.deepEqual(await read('mine'), { ...expected, login: { ...expected.login, password: 'other-secret' } });
  await writeFile(join(folder, 'secure.yaml'), secure.replace('other', 'third'));
  const named = await read('mine', { OS_CLIENT_SECURE_FILE: join(folder, 'secure.yaml') });
  assert.deepEqual(named?.login, { ...expected.login, password: 'third-secret' });
});

test('without a configured cloud OS_CLOUD names one, then the OS_ variables count, and without all of them none', async (t) => {
  const { read } = await machine(t, { 'here/clouds.yaml': complete });
  assert.equal(await read(null), null);
  assert.equal(await read(null, { OS_AUTH_URL: 'http://keystone.example' }), null);
  assert.deepEqual(await read(null, { ...variables, OS_CLOUD: 'mine' }), expected);
  assert.deepEqual(await read('mine', { ...variables, OS_CLOUD: 'other' }), expected);
  const domain = { name: 'Default' };
  const own = {
    ...{ cloud: 'envvars', authUrl: 'http://keystone.example/identity', regionName: 'Two', interface: 'admin' },
    login: { ...expected.login, user: { name: 'nova', domain }, project: { name: 'service', domain } },
    ...{ imageEndpointOverride: 'http://glance.example/image', caCertificates: null },
  };
  const more = {
    OS_REGION_NAME: 'Two',
    OS_INTERFACE: 'admin',
    OS_IMAGE_ENDPOINT_OVERRIDE: 'http://glance.example/image/',
  };
  assert.deepEqual(await read(null, { ...variables, ...more }), own);
  assert.deepEqual(await read('envvars', { ...variables, ...more, OS_CLOUD: 'mine' }), own);
});

test('an application credential is known by its id, or by its name and its user', async (t) => {
  const { read } = await machine(t, {});
  const base = { OS_AUTH_URL: variables.OS_AUTH_URL, OS_APPLICATION_CREDENTIAL_SECRET: 'planted-secret' };
  const common = { method: 'application_credential', secret: 'planted-secret' };
  const byId = { ...base, OS_AUTH_TYPE: 'v3applicationcredential', OS_APPLICATION_CREDENTIAL_ID: 'a1' };
  assert.deepEqual((await read(null, byId))?.login, { ...common, credential: { id: 'a1' } });
  const byName = { ...base, OS_APPLICATION_CREDENTIAL_NAME: 'host', OS_USER_ID: 'u1' };
  const credential = { name: 'host', user: { id: 'u1' } };
  assert.deepEqual((await read(null, byName))?.login, { ...common, credential });
  await refused(read(null, { ...base, OS_AUTH_TYPE: 'v3applicationcredential' }), /"envvars" has 1 mistake/, [
    /^OS_APPLICATION_CREDENTIAL_NAME: missing/,
  ]);
});

test('a cloud or a file that is missing, cannot be read, is no YAML or is too large is reported', async (t) => {
  const { folder, here, read } = await machine(t, {});
  await refused(read('mine'), /no clouds\.yaml with the cloud "mine" in .*here.*\/etc\/openstack/);
  const file = join(here, 'clouds.yaml');
  await refused(read('mine', { OS_CLIENT_CONFIG_FILE: join(folder, 'absent') }), /absent cannot be read \(ENOENT\)/);
  await mkdir(file);
  await refused(read('mine'), /clouds\.yaml cannot be read \(EISDIR\)/);
  await rm(file, { recursive: true });
  const bomb = `a: &a [x, x]\n${Array.from({ length: 9 }, (_, at) => `b${at}: &b${at} [${Array(9).fill(at === 0 ? '*a' : `*b${at - 1}`)}]`).join('\n')}`;
  for (const [text, words] of [
    [complete, /clouds\.yaml has no cloud "yours"/],
    [`${complete}  - planted-secret: [`, /clouds\.yaml, line \d+ \(.*\), is not YAML/],
    ['planted-secret', /is not YAML with clouds in it/],
    ['clouds: [planted-secret]', /is not YAML with clouds in it/],
    [bomb, /too many aliases/],
    [`#${'x'.repeat(300_000)}`, /more than 256 KiB/],
    ['clouds: {__proto__: {auth: {}}}', /no cloud "yours"/],
  ] as const) {
    await writeFile(file, text);
    await refused(read('yours'), words);
  }
  if (process.getuid?.() === 0) return;
  await chmod(file, 0);
  await refused(read('mine'), /EACCES/);
});

test('credentials that are incomplete or not supported are refused, a line for each mistake', async (t) => {
  const { here, read } = await machine(t, { 'here/clouds.yaml': 'clouds: {mine: }' });
  await refused(read('mine'), /^the cloud "mine" has 4 mistakes$/, [
    /clouds\.yaml: clouds\.mine\.auth\.auth_url: missing, expected the address of Keystone$/,
    /clouds\.mine\.auth\.username: missing, expected the user, by name or id$/,
    /clouds\.mine\.auth\.password: missing, expected the user’s password$/,
    /clouds\.mine\.auth\.project_name: missing, expected the project/,
  ]);
  const { OS_USER_DOMAIN_NAME: _domain, ...domainless } = variables;
  await refused(read(null, domainless), /1 mistake/, [/^OS_USER_DOMAIN_NAME: missing/]);
  const broken = complete
    .replace('https://keystone.example:5000/v3/', 'https://me:planted-secret@keystone.example/')
    .replace('password: planted-secret', 'password: [planted-secret]')
    .replace('internal', 'planted-secret');
  const refusals = `    verify: no\n    cacert: planted-secret\n    cert: planted-secret\n    identity_api_version: 2\n`;
  await writeFile(join(here, 'clouds.yaml'), `${broken}${refusals}`);
  await refused(read('mine'), /7 mistakes/, [
    /auth\.auth_url: expected an http or https address without/,
    /auth\.password: not a text/,
    /mine\.cacert: expected a file of certificates/,
    /mine\.interface: expected public, internal or admin/,
    /mine\.verify: a server that is not verified gets no password/,
    /mine\.cert: certificates of clients are not supported/,
    /mine\.identity_api_version: not supported, expected 3/,
  ]);
  await refused(read(null, { ...variables, OS_AUTH_TYPE: 'v3totp' }), /1 mistake/, [/^OS_AUTH_TYPE: not supported/]);
  const old = { ...variables, OS_AUTH_URL: 'http://keystone.example/v2.0' };
  await refused(read(null, old), /1 mistake/, [/^OS_AUTH_URL: Identity v2\.0 is not supported/]);
});

test('cacert names certificates, from home too, and nothing else of its file is taken', async (t) => {
  const [one = '', two = ''] = rootCertificates;
  const pem = `planted-secret\n${one}\n${two}\n`;
  const { read } = await machine(t, {
    'here/clouds.yaml': `${complete}    cacert: ~/ca.pem\n    verify: true\n`,
    'home/ca.pem': pem,
    'here/clouds.yml': '',
  });
  assert.equal((await read('mine'))?.caCertificates, `${one}\n${two}`);
});

test('a file means to us what it means to openstacksdk', async (t) => {
  const { home, here, read } = await machine(t, {
    'here/clouds.yaml': `
x: &auth
  auth-url: http://keystone.example/v3
  username: 1234567890123456789012
  tenant_name: service
  domain_id: default
clouds:
  mine:
    auth: {<<: *auth}
    region_name: 7
    interface: internal
`,
    'home/.config/openstack/secure.yml': 'clouds: {mine: {auth: {password: "0123"}, interface: admin}}',
  });
  const script = `
import json, openstack.config
c = openstack.config.OpenStackConfig().get_one('mine', validate=False).config
a = {k.replace('-', '_'): v for k, v in c['auth'].items()}
print(json.dumps([a['auth_url'], a['username'], a['password'], a['project_name'], a['user_domain_id'],
  a['project_domain_id'], c['region_name'], c['interface']]))
`;
  const python = join(stateDirectory(), 'glance', 'bin', 'python');
  const args = [`HOME=${home}`, python, '-W', 'ignore', '-c', script];
  const { stdout } = await runProgram('env', args, { timeoutMs: 60_000, workingDirectory: here });
  const [authUrl, name, password, project, userDomain, projectDomain, regionName, kind] = JSON.parse(stdout);
  assert.deepEqual(await read('mine'), {
    ...{ ...expected, authUrl: authUrl.replace('/v3', ''), regionName, interface: kind },
    login: {
      ...{ method: 'password', password },
      user: { name, domain: { id: userDomain } },
      project: { name: project, domain: { id: projectDomain } },
    },
  });
});

test('a worker whose cloud is missing does not start, and other commands do not need it', async (t) => {
  const { folder } = await machine(t, {});
  const environment = { EVERBOOT_GLANCE_CLOUD: 'absent', EVERBOOT_STATE_DIR: folder, HOME: folder };
  const worker = await runEverboot(['worker', '--json'], environment);
  assert.equal(worker.code, 2, worker.stderr);
  assert.match(worker.stdout, /"ConfigInvalid".*cloud \\"absent\\"/s);
  assert.equal((await runEverboot(['schema', 'spec'], environment)).code, 0);
});
