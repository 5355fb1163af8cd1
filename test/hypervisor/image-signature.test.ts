import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { GlanceSettings } from '../../domain/configuration.ts';
import type { EverbootFailure } from '../../domain/failures.ts';
import { signatureHashMethods, signatureKeyTypes } from '../../domain/image-signature.ts';
import { downloadImage } from '../../hypervisor/download/download-image.ts';
import { runProgram } from '../../hypervisor/run-program.ts';
import { describeImage } from '../../hypervisor/sources/describe-image.ts';
import { startGlance, type TestGlance } from '../fixtures/glance.ts';
import { type Answer, cutAfter, glanceSettings, imageServer, serve } from '../fixtures/image-server.ts';
import { stateDirectory } from '../fixtures/state-directory.ts';

const id = 'c1f0e1a2-0000-4000-8000-5f3b1c2d4e5f';
const bytes = randomBytes(2 * 2 ** 20 + 321);
const certificates = Object.fromEntries(
  signatureKeyTypes.map((type, index) => [type, `00000000-0000-4000-8000-00000000000${index}`]),
) as Record<(typeof signatureKeyTypes)[number], string>;
const expired = '00000000-0000-4000-8000-0000000000ee';

let folder: string;
let trusted: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'everboot-signatures-'));
  trusted = join(folder, 'trusted');
  await mkdir(trusted, { mode: 0o755 });
  await writeFile(join(folder, 'image'), bytes);
  for (const [type, certificate] of Object.entries(certificates)) await makeCertificate(type, certificate);
  const dates = ['-not_before', '20200101000000Z', '-not_after', '20210101000000Z'];
  await makeCertificate('RSA-PSS', expired, dates);
});
after(() => rm(folder, { recursive: true, force: true }));

async function openssl(...args: string[]): Promise<void> {
  await runProgram('openssl', args, { timeoutMs: 60_000 });
}

async function makeCertificate(type: string, certificate: string, dates?: readonly string[]): Promise<void> {
  const key = join(folder, `${certificate}.key`);
  if (type === 'RSA-PSS')
    await openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', key);
  else if (type === 'DSA') {
    const parameters = join(folder, 'dsa.pem');
    await openssl(
      'genpkey',
      '-genparam',
      '-algorithm',
      'DSA',
      '-pkeyopt',
      'dsa_paramgen_bits:2048',
      '-out',
      parameters,
    );
    await openssl('genpkey', '-paramfile', parameters, '-out', key);
  } else await openssl('ecparam', '-name', type.slice(4).toLowerCase(), '-genkey', '-noout', '-out', key);
  const path = join(trusted, `${certificate}.pem`);
  if (dates === undefined) {
    await openssl('req', '-x509', '-new', '-key', key, '-subj', `/CN=${type}`, '-days', '2', '-out', path);
  } else {
    // Only `ca` sets dates in the past with OpenSSL 3.0.
    await openssl('req', '-new', '-key', key, '-subj', `/CN=${type}`, '-out', join(folder, 'request'));
    await writeFile(join(folder, 'index'), '');
    const settings = `[ca]\ndefault_ca=own\n[own]\ndatabase=${folder}/index\nnew_certs_dir=${folder}\nrand_serial=yes\ndefault_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n`;
    await writeFile(join(folder, 'ca.conf'), settings);
    const when = ['-startdate', dates[1] ?? '', '-enddate', dates[3] ?? ''];
    const files = ['-in', join(folder, 'request'), '-out', path, '-keyfile', key];
    await openssl('ca', '-batch', '-selfsign', '-notext', '-config', join(folder, 'ca.conf'), ...files, ...when);
  }
  await chmod(path, 0o644);
}

type Properties = Record<string, string>;

/** Signs the image with the openssl program, as an operator would before the upload. */
async function signed(
  keyType: (typeof signatureKeyTypes)[number],
  hashMethod: (typeof signatureHashMethods)[number] = 'SHA-256',
  certificate = certificates[keyType],
): Promise<Properties> {
  const output = join(folder, `${keyType}-${hashMethod}.sig`);
  const pss = keyType === 'RSA-PSS' ? ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:max'] : [];
  const key = join(folder, `${certificate}.key`);
  const hash = `-${hashMethod.replace('-', '').toLowerCase()}`;
  await openssl('dgst', hash, ...pss, '-sign', key, '-out', output, join(folder, 'image'));
  return {
    img_signature: (await readFile(output)).toString('base64'),
    img_signature_hash_method: hashMethod,
    img_signature_key_type: keyType,
    img_signature_certificate_uuid: certificate,
  };
}

/** A Glance that tells of the image with these properties, and sends it as `answers` say. */
async function glanceOf(t: TestContext, properties: Properties, answers: readonly Answer[] = [serve(bytes)]) {
  const hash = createHash('sha512').update(bytes).digest('hex');
  const record = { id, name: 'signed', status: 'active', disk_format: 'raw', container_format: 'bare' };
  const told = { ...record, size: bytes.length, os_hash_algo: 'sha512', os_hash_value: hash, ...properties };
  let files = 0;
  const server = await imageServer(t, [
    (request, response) => {
      if (!request.url?.endsWith('/file')) return response.writeHead(200).end(JSON.stringify(told));
      files += 1;
      return answers[Math.min(files, answers.length) - 1]?.(request, response);
    },
  ]);
  return { server, fetches: () => files, fetch: () => fetchSigned(t, server.url, id) };
}

async function fetchSigned(t: TestContext, server: string, image: string, changes: Partial<GlanceSettings> = {}) {
  const own = await mkdtemp(join(folder, 'fetch-'));
  t.after(() => rm(own, { recursive: true, force: true }));
  const signatures = { verifyGlanceSignatures: true, signatureCertificatesPath: trusted };
  const glance = glanceSettings({ apiServers: [server], ...signatures, ...changes });
  const settings = { glance, fileImageRoots: [] };
  const signal = AbortSignal.timeout(60_000);
  const description = await describeImage({ glance: image }, settings, signal);
  const order = { image: description, partPath: join(own, 'part'), timeMs: 60_000 };
  return await downloadImage(order, settings, { signal, onProgress: () => undefined });
}

async function refused(work: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(work, (error: EverbootFailure) => {
    assert.equal(error.code, 'ImageSignatureInvalid', error.stack);
    assert.match(error.message, message);
    return true;
  });
}

describe('an image’s signature', () => {
  for (const keyType of signatureKeyTypes) {
    test(`by a key of the type ${keyType} verifies with every hash, and for no other bytes`, async (t) => {
      for (const hashMethod of signatureHashMethods) {
        const properties = await signed(keyType, hashMethod);
        const good = await glanceOf(t, properties);
        assert.deepEqual(await good.fetch(), { sizeBytes: bytes.length, resumedAtBytes: 0 });
      }
      const other = Buffer.from((await signed(keyType)).img_signature ?? '', 'base64');
      other[other.length - 1] = (other.at(-1) ?? 0) ^ 1;
      const bad = await glanceOf(t, { ...(await signed(keyType)), img_signature: other.toString('base64') });
      await refused(bad.fetch(), /does not verify with the certificate/);
    });
  }

  test('is judged as cursive judges it', async () => {
    const cases = [];
    for (const keyType of signatureKeyTypes) {
      for (const hashMethod of signatureHashMethods) {
        const { img_signature: signature } = await signed(keyType, hashMethod);
        cases.push({ keyType, hashMethod, signature, certificate: join(trusted, `${certificates[keyType]}.pem`) });
      }
    }
    const script = `
import base64, json, sys
from cryptography import x509
from cursive import signature_utils as s
said = []
for case in json.load(sys.stdin):
    if case['keyType'] not in s.SignatureKeyType.REGISTERED_TYPES:
        said.append('unknown'); continue
    key = x509.load_pem_x509_certificate(open(case['certificate'], 'rb').read()).public_key()
    kind = s.SignatureKeyType.lookup(case['keyType'])
    verifier = kind.create_verifier(base64.b64decode(case['signature']), s.HASH_METHODS[case['hashMethod']], key)
    verifier.update(open(${JSON.stringify(join(folder, 'image'))}, 'rb').read())
    verifier.verify(); said.append('valid')
print(json.dumps(said))`;
    const python = join(stateDirectory(), 'glance', 'bin', 'python');
    const { stdout } = await runProgram(python, ['-c', script], { timeoutMs: 60_000, input: JSON.stringify(cases) });
    const said: string[] = JSON.parse(stdout);
    const unknown = cases.filter((_case, index) => said[index] === 'unknown').map(({ keyType }) => keyType);
    assert.ok(
      unknown.every((type) => type.startsWith('ECC_SECT')),
      'newer cryptography has no binary curves',
    );
    assert.ok(said.filter((word) => word === 'valid').length >= 16, said.join());
  });

  test('with another salt than cursive’s is not taken', async (t) => {
    const properties = await signed('RSA-PSS');
    const output = join(folder, 'short-salt.sig');
    const options = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:32'];
    const key = join(folder, `${certificates['RSA-PSS']}.key`);
    await openssl('dgst', '-sha256', ...options, '-sign', key, '-out', output, join(folder, 'image'));
    const glance = await glanceOf(t, { ...properties, img_signature: (await readFile(output)).toString('base64') });
    await refused(glance.fetch(), /does not verify/);
  });

  test('that nothing could verify costs not a byte of the image', async (t) => {
    const good = await signed('RSA-PSS');
    const { img_signature: _gone, ...unsigned } = good;
    const wrong: [Properties, RegExp][] = [
      [{}, /img_signature is missing.*img_signature_certificate_uuid is missing/],
      [unsigned, /img_signature is missing/],
      [{ ...good, img_signature: 'not base64!' }, /img_signature is .*expected base64/],
      [{ ...good, img_signature: 'A'.repeat(5000) }, /5000 characters long/],
      [{ ...good, img_signature_hash_method: 'MD5' }, /img_signature_hash_method is "MD5"/],
      [{ ...good, img_signature_key_type: 'ROT13' }, /img_signature_key_type is "ROT13"/],
      [{ ...good, img_signature_certificate_uuid: '../../etc/passwd' }, /expected the UUID of a certificate/],
      [{ ...good, img_signature_certificate_uuid: id }, /is not among those that this host trusts/],
      [{ ...good, img_signature_key_type: 'ECC_SECP384R1' }, /is none for the signature’s key type/],
      [{ ...good, img_signature_certificate_uuid: certificates.DSA }, /\(dsa\) is none for/],
      [{ ...good, img_signature_certificate_uuid: expired }, /which is not now/],
    ];
    for (const [properties, message] of wrong) {
      const glance = await glanceOf(t, properties);
      await refused(glance.fetch(), message);
      assert.equal(glance.fetches(), 0);
    }
  });

  test('is not verified with a certificate that others could have written', async (t) => {
    const glance = await glanceOf(t, await signed('ECC_SECP384R1'));
    const path = join(trusted, `${certificates.ECC_SECP384R1}.pem`);
    await chmod(path, 0o666);
    await refused(glance.fetch(), /may be written by others/);
    await chmod(path, 0o644);
    await chmod(trusted, 0o777);
    await refused(glance.fetch(), /the folder of trusted certificates.*may be written by others/);
    await chmod(trusted, 0o755);
    await glance.fetch();
  });

  test('verifies over a download that was cut and gone on with', async (t) => {
    const glance = await glanceOf(t, await signed('RSA-PSS'), [cutAfter(bytes, 700_000), serve(bytes)]);
    await glance.fetch();
    assert.equal(glance.fetches(), 2);
  });

  test('is not asked for where the host does not verify them', async (t) => {
    const { server } = await glanceOf(t, {});
    await fetchSigned(t, server.url, id, { verifyGlanceSignatures: false });
  });
});

describe('a signed image on a real Glance', () => {
  let glance: TestGlance;
  before(async () => {
    glance = await startGlance();
  });
  after(() => glance.stop());

  test('is fetched and verified; without its properties it is refused', async (t) => {
    const properties = { name: 'signed', disk_format: 'raw' } as const;
    const unsigned = await glance.upload(join(folder, 'image'), properties);
    await refused(fetchSigned(t, glance.endpoint, unsigned), /img_signature is missing/);
    // Set afterwards: a Glance that sees them during an upload asks Barbican for the certificate.
    const changes = Object.entries(await signed('RSA-PSS', 'SHA-512'));
    const changed = await fetch(`${glance.endpoint}/v2/images/${unsigned}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/openstack-images-v2.1-json-patch' },
      body: JSON.stringify(changes.map(([name, value]) => ({ op: 'add', path: `/${name}`, value }))),
    });
    assert.equal(changed.status, 200, await changed.text());
    const { sizeBytes } = await fetchSigned(t, glance.endpoint, unsigned);
    assert.equal(sizeBytes, bytes.length);
  });
});
