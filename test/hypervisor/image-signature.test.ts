import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { GlanceSettings } from '../../domain/configuration.ts';
import type { EverbootFailure } from '../../domain/failures.ts';
import { signatureHashMethods, signatureKeyTypes } from '../../domain/image-signature.ts';
import { downloadImage } from '../../hypervisor/image-store/download/download-image.ts';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { signatureCheck } from '../../hypervisor/signatures/signature-check.ts';
import { imageSignature } from '../../hypervisor/signatures/signature-properties.ts';
import { signatureVerifier } from '../../hypervisor/signatures/signature-verifier.ts';
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

/** A signature by the RSA key whose salt has that length in bytes, as base64. */
async function signedWithSalt(saltBytes: number): Promise<string> {
  const output = join(folder, `salt-${saltBytes}.sig`);
  const options = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', `rsa_pss_saltlen:${saltBytes}`];
  const key = join(folder, `${certificates['RSA-PSS']}.key`);
  await openssl('dgst', '-sha256', ...options, '-sign', key, '-out', output, join(folder, 'image'));
  return (await readFile(output)).toString('base64');
}

type Verdict = 'valid' | 'invalid' | 'unknown';

/** Cursive's verdict, of the tests' Glance, on the image with these properties; its key manager is our folder. */
async function judgedByCursive(cases: readonly Properties[]): Promise<Verdict[]> {
  const script = `
import json, sys
from cryptography import exceptions, x509
from cursive import exception, signature_utils as s
asked = json.load(sys.stdin)
def certificate(context, uuid):
    return x509.load_pem_x509_certificate(open('%s/%s.pem' % (asked['trusted'], uuid), 'rb').read())
s.get_certificate = certificate
image = open(asked['image'], 'rb').read()
def judge(p):
    if p['img_signature_key_type'] not in s.SignatureKeyType.REGISTERED_TYPES:
        return 'unknown'
    try:
        verifier = s.get_verifier(None, p['img_signature_certificate_uuid'], p['img_signature_hash_method'],
                                  p['img_signature'], p['img_signature_key_type'])
        verifier.update(image)
        verifier.verify()
        return 'valid'
    except (exception.SignatureVerificationError, exceptions.InvalidSignature):
        return 'invalid'
print(json.dumps([judge(p) for p in asked['cases']]))`;
  const python = join(stateDirectory(), 'glance', 'bin', 'python');
  const input = JSON.stringify({ trusted, image: join(folder, 'image'), cases });
  const { stdout } = await runProgram(python, ['-c', script], { timeoutMs: 60_000, input });
  return JSON.parse(stdout);
}

/** Our verdict on the image with these properties, without a fetch. */
async function judgedByUs(properties: Properties): Promise<Verdict> {
  try {
    const settings = glanceSettings({ signatureCertificatesPath: trusted });
    const check = await signatureCheck({ signature: imageSignature('the image', properties) }, settings);
    const verifier = signatureVerifier(check ?? assert.fail());
    verifier.update(bytes);
    return verifier.isValid() ? 'valid' : 'invalid';
  } catch (error) {
    if ((error as EverbootFailure).code === 'ImageSignatureInvalid') return 'invalid';
    throw error;
  }
}

/** A Glance server that has the image with these properties, and sends it as `answers` say. */
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

async function fetchSigned(
  t: TestContext,
  server: string,
  image: string,
  changes: Partial<GlanceSettings> = {},
  into?: string,
) {
  const own = into ?? (await mkdtemp(join(folder, 'fetch-')));
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

  test('is judged as cursive judges it, the right ones and the wrong ones', async () => {
    const right = [];
    for (const keyType of signatureKeyTypes) {
      for (const hashMethod of signatureHashMethods) right.push(await signed(keyType, hashMethod));
    }
    for (const saltBytes of [0, 20, 32]) {
      right.push({ ...(await signed('RSA-PSS')), img_signature: await signedWithSalt(saltBytes) });
    }
    const [rsa, dsa, curve] = [await signed('RSA-PSS'), await signed('DSA'), await signed('ECC_SECP384R1')];
    const wrong: Properties[] = [
      ...[rsa, dsa, curve].flatMap((good) => [
        { ...good, img_signature_hash_method: 'SHA-512' },
        { ...good, img_signature: Buffer.from('no signature at all').toString('base64') },
        { ...good, img_signature: '' },
        { ...good, img_signature: good.img_signature?.slice(1) ?? '' },
        { ...good, img_signature_key_type: good === dsa ? 'RSA-PSS' : 'DSA' },
        { ...good, img_signature_certificate_uuid: certificates.ECC_SECP521R1 },
      ]),
    ];
    const cases = [...right, ...wrong];
    const theirs = await judgedByCursive(cases);
    const ours = [];
    for (const properties of cases) ours.push(await judgedByUs(properties));
    assert.deepEqual(new Set(ours.slice(0, right.length)), new Set(['valid']));
    assert.deepEqual(new Set(ours.slice(right.length)), new Set(['invalid']));
    // Newer releases of cryptography have no binary curves.
    const known = (verdicts: string[]) => verdicts.filter((_verdict, index) => theirs[index] !== 'unknown');
    assert.deepEqual(known(ours), known(theirs));
    assert.ok(known(theirs).length >= 19 + wrong.length);
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

  test('verifies over a download that was cut and continued', async (t) => {
    const glance = await glanceOf(t, await signed('RSA-PSS'), [cutAfter(bytes, 700_000), serve(bytes)]);
    assert.equal((await glance.fetch()).sizeBytes, bytes.length);
    assert.match(glance.server.requests.at(-1) ?? '', /bytes=[1-9]/);
  });

  test('that is wrong over such a download is final, for the digest says that the bytes are right', async (t) => {
    const wrong = { ...(await signed('RSA-PSS')), img_signature: 'AAAA' };
    const glance = await glanceOf(t, wrong, [cutAfter(bytes, 700_000), serve(bytes)]);
    await refused(glance.fetch(), /does not verify/);
    assert.equal(glance.fetches(), 2);
  });

  test('of an image without a digest is worth one clean fetch', async (t) => {
    const other = randomBytes(bytes.length);
    const noDigest = { os_hash_algo: '', os_hash_value: '', ...(await signed('RSA-PSS')) };
    const answers = [cutAfter(bytes, 700_000), serve(other), serve(bytes)];
    const glance = await glanceOf(t, noDigest, answers);
    const own = await mkdtemp(join(folder, 'again-'));
    const fetchAgain = () => fetchSigned(t, glance.server.url, id, { allowUnverified: true }, own);
    await assert.rejects(fetchAgain(), { code: 'SourceChanged', message: /does not verify with the certificate/ });
    assert.deepEqual(await fetchAgain(), { sizeBytes: bytes.length, resumedAtBytes: 0 });
  });

  test('is asked for of a file that was fetched whole before the host verified signatures', async (t) => {
    const own = await mkdtemp(join(folder, 'whole-'));
    const good = await glanceOf(t, await signed('DSA'));
    await fetchSigned(t, good.server.url, id, { verifyGlanceSignatures: false }, own);
    assert.equal((await fetchSigned(t, good.server.url, id, {}, own)).sizeBytes, bytes.length);
    assert.equal(good.fetches(), 1);
    await rm(own, { recursive: true });
    await mkdir(own);
    const bad = await glanceOf(t, { ...(await signed('DSA')), img_signature: 'AAAA' });
    await fetchSigned(t, bad.server.url, id, { verifyGlanceSignatures: false }, own);
    await refused(fetchSigned(t, bad.server.url, id, {}, own), /does not verify/);
    assert.equal(bad.fetches(), 1);
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
    // Set afterwards: if Glance sees them during an upload, it asks Barbican for the certificate.
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
