import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import type { GlanceSettings } from '../../domain/configuration.ts';
import type { FailureCode } from '../../domain/failures.ts';
import type { GlanceCredentials, GlanceLogin } from '../../domain/glance-credentials.ts';
import { downloadImage } from '../../hypervisor/image-store/download/download-image.ts';
import { type GlanceTokens, glanceTokens } from '../../hypervisor/keystone/glance-tokens.ts';
import { describeImage, type ImageSourceSettings } from '../../hypervisor/sources/describe-image.ts';
import { forwarder } from '../fixtures/forwarder.ts';
import { startGlance, type TestGlance } from '../fixtures/glance.ts';
import { glanceSettings, imageServer, say } from '../fixtures/image-server.ts';
import { startKeystone, type TestKeystone, type TestTenant } from '../fixtures/keystone.ts';

const bytes = randomBytes(3 * 2 ** 20);
const sha512 = createHash('sha512').update(bytes).digest('hex');
let folder: string;
let keystone: TestKeystone;
let glance: TestGlance;
let tenant: TestTenant;
let other: TestTenant;
let id: string;
let secretId: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-keystone-test-'));
  const file = join(folder, 'image.raw');
  await writeFile(file, bytes);
  keystone = await startKeystone();
  glance = await startGlance({ keystone });
  await keystone.register(`${glance.endpoint}/v2/`);
  await keystone.register('http://127.0.0.1:1', { region: 'far' });
  [tenant, other] = [await keystone.tenant('ours'), await keystone.tenant('theirs')];
  id = await glance.upload(file, { name: 'ours', disk_format: 'raw' }, await keystone.token(tenant));
  secretId = await glance.upload(file, { name: 'theirs', disk_format: 'raw' }, await keystone.token(other));
});

after(async () => {
  await glance?.stop();
  await keystone?.stop();
  await rm(folder, { recursive: true, force: true });
});

function passwordLogin(password = tenant.password): GlanceLogin {
  const domain = { name: 'Default' };
  return {
    method: 'password',
    user: { name: tenant.user, domain },
    password,
    project: { name: tenant.project, domain: { id: 'default' } },
  };
}

function credentials(changes: Partial<GlanceCredentials> = {}): GlanceCredentials {
  const defaults = {
    regionName: 'test',
    interface: 'public',
    imageEndpointOverride: null,
    caCertificates: null,
  } as const;
  return { cloud: 'mine', authUrl: keystone.url, login: passwordLogin(), ...defaults, ...changes };
}

/** A host with these credentials, and servers if they are named. */
function host(own: Partial<GlanceCredentials> = {}, settings: Partial<GlanceSettings> = {}) {
  // Patient: Keystone in Python has to answer ten requests of a loaded machine.
  const glanceOptions = glanceSettings({ numRetries: 0, connectTimeout: 30, stallTimeout: 30, ...settings });
  const tokens = glanceTokens(credentials(own), glanceOptions);
  return { glance: glanceOptions, fileImageRoots: [], tokens };
}

async function look(sources: ImageSourceSettings, reference = id) {
  return await describeImage({ glance: reference }, sources, AbortSignal.timeout(60_000));
}

/** Fetches the image, and says what came. */
async function fetchWhole(t: TestContext, sources: ImageSourceSettings, reference = id) {
  const directory = await mkdtemp(join(folder, 'fetch-'));
  const partPath = join(directory, 'base.part');
  const image = await look(sources, reference);
  assert.deepEqual(image.digest, { algorithm: 'sha512', hex: sha512 });
  const control = { signal: t.signal, onProgress: () => undefined };
  const made = await downloadImage({ image, partPath, timeMs: 30_000 }, sources, control);
  assert.equal(made.sizeBytes, bytes.length);
  assert.ok((await readFile(partPath)).equals(bytes));
}

/** The failure, without a secret in anything that it carries. */
async function fails(work: Promise<unknown>, code: FailureCode, message: RegExp): Promise<void> {
  await assert.rejects(work, (error: Error & { code: string }) => {
    assert.equal(error.code, code, error.stack);
    assert.match(error.message, message);
    const everything = inspect(error, { depth: 20, showHidden: true });
    assert.doesNotMatch(everything, /the-password|not-the-one|gAAAA|application-secret/);
    return true;
  });
}

async function tokenOf({ tokens }: { tokens: GlanceTokens }): Promise<string> {
  return (await tokens.serverAt(tokens.catalogPlace, AbortSignal.timeout(60_000))).token ?? '';
}

describe('Glance that asks for tokens', () => {
  test('gives an image to a user with a password, and to nobody without', async (t) => {
    await fetchWhole(t, host({}, { apiServers: [glance.endpoint] }));
    const { tokens: _none, ...nobody } = host({}, { apiServers: [glance.endpoint] });
    await fails(look(nobody), 'ImageForbidden', / 401$/);
  });

  test('gives an image to an application credential, by its id and by its name', async (t) => {
    const made = await keystone.applicationCredential(tenant, 'everboot');
    const [method, { secret }] = ['application_credential' as const, made];
    const user = { id: tenant.userId };
    await fetchWhole(t, host({ login: { method, secret, credential: { id: made.id } } }));
    await fetchWhole(t, host({ login: { method, secret, credential: { name: 'everboot', user } } }));
    const wrong = { method, secret: 'application-secret', credential: { id: made.id } };
    await fails(look(host({ login: wrong })), 'ImageForbidden', /refused the credentials/);
  });

  test('is found in the catalog where no servers are configured, by its region and interface', async (t) => {
    await fetchWhole(t, host());
    await fails(
      look(host({ regionName: 'nowhere' })),
      'HostUnsuitable',
      /no public image endpoint in the region "nowhere"/,
    );
    await fails(look(host({ interface: 'internal' })), 'HostUnsuitable', /no internal image endpoint/);
    await fails(look(host({ regionName: 'far' })), 'GlanceUnavailable', /127\.0\.0\.1:1\//);
    await fetchWhole(t, host({ regionName: 'far', imageEndpointOverride: `${glance.endpoint}/v2` }));
  });

  test('does not show another project’s image', async () => {
    await fails(look(host(), secretId), 'ImageNotFound', new RegExp(secretId));
  });
});

describe('a token', () => {
  test('is got once, however many ask at the same time, and used again', async (t) => {
    const front = await forwarder(t, keystone.url);
    const sources = host({ authUrl: front.url });
    await Promise.all(Array.from({ length: 10 }, () => look(sources)));
    await look(sources);
    assert.deepEqual(
      front.requests.map(({ method, path }) => `${method} ${path}`),
      ['POST /v3/auth/tokens'],
    );
  });

  test('that one of many gave up waiting for comes for the others', async (t) => {
    let arrived = (): void => undefined;
    const atKeystone = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    let resume = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      resume = resolve;
    });
    const front = await forwarder(t, keystone.url, async () => {
      arrived();
      await held;
      return false;
    });
    const { tokens } = host({ authUrl: front.url });
    const impatient = new AbortController();
    const first = tokens.serverAt(tokens.catalogPlace, impatient.signal);
    const second = tokens.serverAt(tokens.catalogPlace, t.signal);
    await atKeystone;
    impatient.abort(new Error('enough'));
    await assert.rejects(first, /^Error: enough$/);
    resume();
    assert.equal((await second).url, glance.endpoint);
    assert.equal(front.requests.length, 1);
  });

  test('that is revoked in the middle of a fetch is renewed once, and the fetch continues at its byte', async (t) => {
    const keystoneFront = await forwarder(t, keystone.url);
    const sentBytes = 2 ** 20;
    let cuts = 0;
    const glanceFront = await forwarder(t, glance.endpoint, async ({ url, headers }, response) => {
      if (!url?.endsWith('/file') || cuts > 0) return false;
      cuts += 1;
      await keystone.revoke(String(headers['x-auth-token']));
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, sentBytes), () => setTimeout(() => response.destroy(), 50));
      return true;
    });
    await fetchWhole(t, host({ authUrl: keystoneFront.url }, { apiServers: [glanceFront.url], numRetries: 2 }));
    const files = glanceFront.requests.filter(({ path }) => path.endsWith('/file'));
    const range = `bytes=${sentBytes}-`;
    assert.deepEqual(
      files.map((file) => file.range),
      [undefined, range, range],
    );
    const [first, refused, fresh] = files.map(({ token }) => token);
    assert.equal(refused, first);
    assert.notEqual(fresh, first);
    assert.equal(keystoneFront.requests.length, 2);
  });

  test('is renewed half a minute before its end', async (t) => {
    const sources = host();
    const started = Date.now();
    const first = await tokenOf(sources);
    t.mock.timers.enable({ apis: ['Date'], now: started + 3_560_000 });
    assert.equal(await tokenOf(sources), first);
    t.mock.timers.setTime(started + 3_575_000);
    assert.notEqual(await tokenOf(sources), first);
  });

  test('that is refused although it is fresh is not tried a third time', async (t) => {
    const front = await forwarder(t, keystone.url);
    for (const status of [401, 403]) {
      const server = await imageServer(t, [say(status)]);
      const sources = host({ authUrl: front.url }, { apiServers: [server.url], numRetries: 3 });
      await fails(look(sources), 'ImageForbidden', new RegExp(` ${status}$`));
      assert.equal(server.requests.length, status === 401 ? 2 : 1);
    }
    assert.equal(front.requests.length, 3);
  });

  test('goes to no server but the host’s own, and not to where one of these redirects', async (t) => {
    const foreign = await forwarder(t, glance.endpoint);
    const away = await forwarder(t, glance.endpoint, (_request, response) => {
      response.writeHead(302, { location: `${foreign.url}/v2/images/${id}` }).end();
      return true;
    });
    const own = await forwarder(t, glance.endpoint);
    for (const sources of [host(), host({}, { apiServers: [own.url] })]) {
      await fails(look(sources, `${foreign.url}/v2/images/${id}`), 'ImageForbidden', / 401$/);
    }
    // The same server, and yet another service on it.
    const beside = `${own.url}/other/v2/images/${id}`;
    await fails(look(host({}, { apiServers: [own.url] }), beside), 'GlanceConnectionFailed', / 300$/);
    assert.deepEqual(
      own.requests.map(({ token }) => token),
      [undefined],
    );
    await fails(look(host({}, { apiServers: [away.url] })), 'ImageForbidden', / 401$/);
    assert.ok(away.requests.every(({ token }) => token !== undefined));
    assert.ok(foreign.requests.length >= 3);
    assert.deepEqual(new Set(foreign.requests.map(({ token }) => token)), new Set([undefined]));
    assert.equal((await look(host(), `${glance.endpoint}/v2/images/${id}`)).title, 'ours');
    assert.equal((await look(host({}, { apiServers: [own.url] }), `${own.url}/images/${id}`)).title, 'ours');
  });
});

describe('Keystone', () => {
  test('that refuses the password is asked once, and the failure says whose it is', async (t) => {
    const front = await forwarder(t, keystone.url);
    const sources = host({ authUrl: front.url, login: passwordLogin('not-the-one') }, { numRetries: 3 });
    const words = new RegExp(`^Keystone at ${front.url} refused the credentials of the cloud "mine" \\(401\\)$`);
    await fails(look(sources), 'ImageForbidden', words);
    assert.equal(front.requests.length, 1);
  });

  test('that is down is waited for like Glance that is down', async (t) => {
    const sources = [host(), host({}, { apiServers: [glance.endpoint] })] as const;
    await keystone.stop();
    try {
      for (const each of sources) {
        await fails(look(each), 'GlanceUnavailable', new RegExp(`${keystone.url}/v3/auth/tokens: .*ECONNREFUSED`));
      }
      const sick = await imageServer(t, [say(503)]);
      await fails(
        look(host({ authUrl: sick.url })),
        'GlanceUnavailable',
        new RegExp(`${sick.url}/v3/auth/tokens.* 503`),
      );
    } finally {
      await keystone.start();
    }
    for (const each of sources) assert.equal((await look(each)).title, 'ours');
  });

  test('that is none, or redirects, gets no second request', async (t) => {
    const target = await imageServer(t, [say(200, {}, '{}')]);
    const answers = [say(404), say(300), say(307, { location: `${target.url}/v3/auth/tokens` })];
    for (const answer of answers) {
      const server = await imageServer(t, [answer]);
      await fails(look(host({ authUrl: server.url })), 'HostUnsuitable', /which no Keystone with/);
      assert.deepEqual(server.requests, ['POST /v3/auth/tokens']);
    }
    assert.deepEqual(target.requests, []);
    const page = await imageServer(t, [say(201, {}, '{"token":{}}')]);
    await fails(look(host({ authUrl: page.url })), 'GlanceUnavailable', /without a token/);
  });

  test('and Glance behind https are believed with the certificates of their cloud only', async (t) => {
    const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const kind = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1'];
    execFileSync('openssl', [...kind, ...subject, '-keyout', keyFile, '-out', certFile], { stdio: 'ignore' });
    const certificate = { key: await readFile(keyFile, 'utf8'), cert: await readFile(certFile, 'utf8') };
    const front = await forwarder(t, keystone.url, undefined, certificate);
    const glanceFront = await forwarder(t, glance.endpoint, undefined, certificate);
    await fails(look(host({ authUrl: front.url })), 'GlanceUnavailable', /self-signed/);
    assert.deepEqual(front.requests, []);
    const ours = { authUrl: front.url, caCertificates: certificate.cert };
    await fetchWhole(t, host(ours, { apiServers: [glanceFront.url] }));
  });
});
