import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { parse as parseYaml } from 'yaml';
import { EverbootFailure } from '../../domain/failures.ts';
import { maxSpecBytes, parseSealedSpec, parseSpec, specJsonSchema } from '../../domain/parse-spec.ts';
import { resultJsonSchema } from '../../domain/result-schema.ts';
import { maxSealedLength } from '../../domain/sealing.ts';

const minimal = { name: 'web-1', flavor: 'm1.small' };
const digest = `sha256:${'a'.repeat(64)}`;
const sshKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPnsvjCmlp7hzPDXBhDz3GTO8JXZrOWCTDbwDFo7GPEX me@example.org';

function problemsOf(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof EverbootFailure, String(error));
    assert.equal(error.code, 'SpecInvalid');
    return error.problems;
  }
  return assert.fail('nothing was refused');
}

const problemsIn = (document: unknown) => problemsOf(() => parseSpec(document));
const problemsWith = (fields: Record<string, unknown>) => problemsIn({ ...minimal, ...fields });

test('a spec of a name and a flavor gets every other default', () => {
  const { spec, secrets } = parseSpec(minimal);
  const { id, ...rest } = spec;
  assert.match(id, /^[0-9a-f-]{36}$/);
  assert.deepEqual(rest, {
    ...minimal,
    project: '',
    user: '',
    availabilityZone: '',
    hostname: 'web-1',
    launchIndex: 0,
    configDrive: true,
    metadata: {},
    sshKeys: [],
    interfaces: [],
    boot: 'running',
    onFailure: 'undo',
  });
  assert.deepEqual(secrets, {});
});

test('a spec with every field is taken as it is', () => {
  const open = {
    id: '0a1b2c3d-0000-4000-8000-00000000abcd',
    name: 'web-1',
    host: 'rack1.example_2',
    project: 'p',
    user: 'u',
    availabilityZone: 'nova',
    hostname: 'web-1.example.org',
    launchIndex: 3,
    flavor: { vcpus: 1, memoryMb: 128, rootGb: 0, ephemeralGb: 1, swapMb: 2 },
    image: { url: 'https://example.org/a.img?x=1', digest, format: 'qcow2' },
    kernel: { glance: '5F2F2F3A9A0C4A3E8D390C1F5E5B7C11' },
    ramdisk: { file: '/srv/images/initrd', digest: `sha512:${'0'.repeat(128)}`, format: 'ari' },
    kernelCommandLine: 'root=/dev/vda ro',
    osType: 'windows',
    configDrive: false,
    metadata: { role: 'web', 'any key': 'two\nlines' },
    sshKeys: [sshKey, `command="uptime",no-pty ${sshKey}`],
    interfaces: [
      { type: 'network', source: 'default', mac: '52:54:00:12:34:56', model: 'e1000', tag: 'front end' },
      { type: 'bridge', source: 'br-ex' },
    ],
    networkData: { links: [{ id: 'eth0', mtu: null }] },
    boot: 'defined',
    onFailure: 'undo',
  };
  assert.deepEqual(parseSpec(open).spec, open);
  assert.deepEqual(parseSealedSpec({ ...open, secrets: {} }), { ...open, secrets: {} }, 'and so is what travels');
});

test('disks by mappings are taken as they are, and a volume’s place becomes its source', () => {
  const wishes = { device: 'vdf', bus: 'scsi', tag: 'data' };
  const ephemerals = [{ sizeGb: 1 }, { sizeGb: 2, fileSystem: 'btrfs', ...wishes }];
  const swap = { sizeMb: 64, device: 'hdd', bus: 'ide', tag: 'swap' };
  const { spec } = parseSpec({
    ...minimal,
    ephemerals,
    swap,
    volumes: [
      { block: '/dev/disk/by-id/a:b', boot: true, readOnly: false, deviceType: 'disk', ...wishes },
      { nbd: { host: '::1', port: 10809 } },
      { rbd: { pool: 'volumes', image: 'data.1' }, deviceType: 'cdrom' },
    ],
  });
  assert.deepEqual([spec.ephemerals, spec.swap], [ephemerals, swap]);
  assert.deepEqual(spec.volumes, [
    { source: { block: '/dev/disk/by-id/a:b' }, boot: true, readOnly: false, deviceType: 'disk', ...wishes },
    { source: { nbd: { host: '::1', port: 10809, export: '' } } },
    { source: { rbd: { pool: 'volumes', image: 'data.1' } }, deviceType: 'cdrom' },
  ]);
  assert.deepEqual(parseSealedSpec({ ...spec, secrets: {} }), { ...spec, secrets: {} }, 'and so is what travels');
});

test('a mapping that no disk could be is refused, with its place', () => {
  const block = '/dev/disk/by-id/a';
  const wrong: readonly [Record<string, unknown>, RegExp][] = [
    [{ ephemerals: [{ sizeGb: 0 }] }, /^ephemerals\[0\]\.sizeGb: 0, expected a whole number from 1/],
    [{ ephemerals: [{}] }, /^ephemerals\[0\]\.sizeGb: missing/],
    [{ ephemerals: [{ sizeGb: 1, fileSystem: 'swap' }] }, /^ephemerals\[0\]\.fileSystem: "swap", expected one of ext2/],
    [{ ephemerals: Array(65).fill({ sizeGb: 1 }) }, /^ephemerals: a list, expected a list of at most 64/],
    [{ swap: { sizeMb: 1.5 } }, /^swap\.sizeMb: 1.5/],
    [{ swap: { sizeMb: 1, device: 'hde' } }, /^swap\.device: "hde"/],
    [{ swap: { sizeMb: 1, device: '/dev/vdb' } }, /^swap\.device: "\/dev\/vdb", expected the name of a device/],
    [{ swap: { sizeMb: 1, bus: 'fdc' } }, /^swap\.bus: "fdc", expected one of virtio, scsi, ide, sata, usb/],
    [{ swap: { sizeMb: 1, tag: 'a/b' } }, /^swap\.tag: "a\/b"/],
    [{ volumes: [{}] }, /^volumes\[0\]: an object, expected \{block\}/],
    [{ volumes: [{ block, nbd: { host: 'a', port: 1 } }] }, /^volumes\[0\]\.\w+: unknown/],
    [{ volumes: [{ block: '/dev/../etc' }] }, /^volumes\[0\]\.block: /],
    [{ volumes: [{ block: 'sdb' }] }, /^volumes\[0\]\.block: /],
    [{ volumes: [{ nbd: { host: 'a b', port: 1 } }] }, /^volumes\[0\]\.nbd\.host: "a b"/],
    [{ volumes: [{ nbd: { host: 'a', port: 70000 } }] }, /^volumes\[0\]\.nbd\.port: 70000/],
    [{ volumes: [{ rbd: { pool: 'a', image: 'b@c' } }] }, /^volumes\[0\]\.rbd\.image: "b@c"/],
    [{ volumes: [{ rbd: { pool: 'a/b', image: 'c' } }] }, /^volumes\[0\]\.rbd\.pool: "a\/b"/],
    [
      {
        volumes: [
          { block, boot: true },
          { block: `${block}b`, boot: true },
        ],
      },
      /^volumes: a list, expected .*at most one of them with boot/,
    ],
  ];
  for (const [fields, expected] of wrong) {
    const problems = problemsWith(fields);
    assert.equal(problems.length, 1, problems.join('\n'));
    assert.match(problems[0] ?? '', expected);
  }
});

test('secrets are kept apart, their texts as base64 of the bytes', () => {
  const { spec, secrets } = parseSpec({
    ...minimal,
    userData: 'é\n',
    adminPassword: 'pässword',
    files: [
      { path: '/etc/a', content: 'x', mode: '0600' },
      { path: '/etc/b', base64: 'AAE=' },
    ],
    vendorData: { 'cloud-init': '#cloud-config\n', empty: {} },
  });
  assert.deepEqual(secrets, {
    userData: Buffer.from('é\n').toString('base64'),
    adminPassword: 'pässword',
    files: [
      { path: '/etc/a', base64: 'eA==', mode: '0600' },
      { path: '/etc/b', base64: 'AAE=' },
    ],
    vendorData: { 'cloud-init': '#cloud-config\n', empty: {} },
  });
  for (const field of ['userData', 'adminPassword', 'files', 'vendorData']) assert.ok(!(field in spec), field);
  assert.deepEqual(parseSpec({ ...minimal, userData: { base64: 'AAE=' }, files: [] }).secrets, { userData: 'AAE=' });
});

test('a spec with ten mistakes gives ten lines', () => {
  assert.deepEqual(
    problemsIn({
      id: 'UPPER',
      name: 'not a host name',
      flavor: { vcpus: 0, memoryMb: '1', rootGb: 1.5 },
      image: { file: 'relative.img', digest: 'md5:1', format: 'qcow2' },
      interfaces: [{ type: 'network', source: 'default', mac: 'zz' }],
      boot: null,
      colour: 'red',
    }),
    [
      'id: "UPPER", expected a UUID in lower case',
      'name: "not a host name", expected a host name: 1 to 63 of a-z, 0-9 and "-", no "-" at either end',
      'flavor.vcpus: 0, expected a whole number from 1 to 1024',
      'flavor.memoryMb: "1", expected a whole number from 1 to 16777216',
      'flavor.rootGb: 1.5, expected a whole number from 0 to 65536',
      'image.file: "relative.img", expected the absolute path of a file on the host, without "." and ".."',
      'image.digest: "md5:1", expected sha256:<64 hex digits> or sha512:<128 hex digits>',
      'interfaces[0].mac: "zz", expected a unicast MAC address such as 52:54:00:12:34:56',
      'boot: null, expected one of running, defined, disks',
      `colour: unknown, expected one of ${Object.keys(specJsonSchema().properties ?? {}).join(', ')}`,
    ],
  );
});

test('a value that may be one of several things is judged as what it most resembles', () => {
  const forms = '{glance}, {url, digest, format} or {file, digest, format}';
  const cases: readonly [Record<string, unknown>, readonly string[]][] = [
    [{ image: 'cirros' }, [`image: "cirros", expected ${forms}`]],
    [{ image: {} }, [`image: an object, expected ${forms}`]],
    [{ image: { name: 'cirros' } }, [`image: an object, expected ${forms}`]],
    [{ image: { glance: digest, url: 'x' } }, ['image.glance:', 'image.url: unknown, expected glance']],
    [{ image: { url: 'https://h/a' } }, ['image.digest: missing', 'image.format: missing']],
    [{ flavor: 4 }, ['flavor: 4, expected the name of a flavor, or']],
    [{ flavor: { vcpus: 1 } }, ['flavor.memoryMb: missing', 'flavor.rootGb: missing']],
    [{ interfaces: [{ type: 'vlan' }] }, ['interfaces[0].type: "vlan", expected network, bridge or tap']],
    [{ interfaces: ['default'] }, ['interfaces[0]: "default", expected {type, source, mac, model, tag}']],
  ];
  for (const [fields, expected] of cases) {
    const problems = problemsWith(fields);
    assert.equal(problems.length, expected.length, problems.join('\n'));
    for (const [index, start] of expected.entries()) assert.ok(problems[index]?.startsWith(start), problems.join('\n'));
  }
});

test('an image may come without a digest only where that is allowed', () => {
  const spec = { name: 'web-1', flavor: 'm1.tiny', image: { url: 'https://example.org/a.img', format: 'raw' } };
  const missing = 'image.digest: missing, expected sha256:<64 hex digits> or sha512:<128 hex digits>';
  assert.throws(
    () => parseSpec(spec),
    (error: EverbootFailure) => {
      assert.deepEqual([error.code, error.problems], ['SpecInvalid', [missing]]);
      return true;
    },
  );
  assert.deepEqual(parseSpec(spec, { allowUnverified: true }).spec.image, spec.image);
});

test('what is secret is never quoted, whatever is wrong with it', () => {
  const secret = 'hunter2';
  const wrong: readonly Record<string, unknown>[] = [
    { userData: { base64: `*${secret}` } },
    { userData: { [secret]: secret } },
    { userData: [secret] },
    { userData: secret.repeat(10_000) },
    { adminPassword: { [secret]: 1 } },
    { adminPassword: `${secret}\n` },
    { files: secret },
    { files: [secret] },
    { files: [{ path: secret, content: secret }] },
    { files: [{ path: '/a', content: secret, [secret]: secret }] },
    { files: [{ path: '/a', content: secret, base64: secret }] },
    { files: [{ path: '/a', content: secret, mode: secret }] },
    { image: { url: `https://me:${secret}@example.org/a`, digest, format: 'raw' } },
    { image: { glance: `https://me:${secret}@example.org/v2/images/x` } },
    { sshKeys: [`-----BEGIN OPENSSH PRIVATE KEY-----\n${secret}`] },
    { vendorData: secret },
    { vendorData: [secret] },
    { vendorData: { [secret]: secret.repeat(10_000) } },
    { adminPasswort: secret },
  ];
  for (const fields of wrong) {
    const problems = problemsWith(fields).join('\n');
    assert.match(problems, /expected/);
    assert.ok(!problems.includes(secret), problems);
  }
  for (const document of [`adminPassword: ${secret}`, [{ adminPassword: secret }]]) {
    assert.ok(!problemsIn(document).join('\n').includes(secret), 'nor is a document of another kind');
  }
});

test('everything has a limit', () => {
  const tooMuch: readonly Record<string, unknown>[] = [
    { userData: 'é'.repeat(32 * 1024 + 1) },
    { userData: { base64: Buffer.alloc(64 * 1024 + 1).toString('base64') } },
    { files: [1, 2].map((index) => ({ path: `/${index}`, content: 'x'.repeat(32 * 1024 + 1) })) },
    { files: Array.from({ length: 101 }, (_, index) => ({ path: `/${index}`, content: '' })) },
    { sshKeys: Array.from({ length: 101 }, () => sshKey) },
    { sshKeys: [`${sshKey}${'x'.repeat(16 * 1024)}`] },
    { metadata: Object.fromEntries(Array.from({ length: 129 }, (_, index) => [`k${index}`, ''])) },
    { metadata: { ['k'.repeat(256)]: '' } },
    { metadata: { key: 'v'.repeat(256) } },
    { interfaces: Array.from({ length: 17 }, () => ({ type: 'network', source: 'default' })) },
    { interfaces: [{ type: 'bridge', source: 'b'.repeat(16) }] },
    { networkData: { text: 'x'.repeat(64 * 1024) } },
    { vendorData: { text: 'é'.repeat(32 * 1024) } },
    { launchIndex: 2 ** 31 },
    { launchIndex: -1 },
    { interfaces: [{ type: 'network', source: 'a', mac: '52:54:00:12:34:56', tag: 't'.repeat(61) }] },
    { kernelCommandLine: 'x'.repeat(2049) },
    { project: 'x'.repeat(256) },
    { hostname: 'x'.repeat(64) },
    { name: 'x'.repeat(64) },
    { host: 'x'.repeat(65) },
    { flavor: { vcpus: 1, memoryMb: 1, rootGb: 1e9 } },
  ];
  for (const fields of tooMuch) assert.equal(problemsWith(fields).length, 1, JSON.stringify(fields).slice(0, 80));

  const large = { ...minimal, userData: { base64: Buffer.alloc(64 * 1024).toString('base64') } };
  assert.equal(parseSpec(large).secrets.userData, large.userData.base64, 'the largest user data passes');
  assert.ok(JSON.stringify(large).length < maxSpecBytes);
});

test('a text that could break out of where it is written is refused', () => {
  const wrong: readonly Record<string, unknown>[] = [
    { project: 'a\nb' },
    { user: '\u0000' },
    { availabilityZone: '\ud800' },
    { kernelCommandLine: 'a\rb' },
    { name: '-a' },
    { name: 'a.b' },
    { name: 'a\n' },
    { hostname: 'a..b' },
    { hostname: 'a-.b' },
    { host: 'a/b' },
    { sshKeys: ['ssh-rsa'] },
    { sshKeys: [`${sshKey}\n`] },
    { interfaces: [{ type: 'bridge', source: "br0'/>" }] },
    { interfaces: [{ type: 'network', source: 'a b' }] },
    { interfaces: [{ type: 'network', source: 'a', mac: '01:00:5e:00:00:01' }] },
    { interfaces: [{ type: 'network', source: 'a', mac: '52:54:00:12:34:56', tag: '' }] },
    { interfaces: [{ type: 'network', source: 'a', mac: '52:54:00:12:34:56', tag: 'a/b' }] },
    { interfaces: [{ type: 'network', source: 'a', mac: '52:54:00:12:34:56', tag: 'a,b' }] },
    { image: { file: '/srv/../etc/shadow', digest, format: 'raw' } },
    { image: { url: 'file:///etc/shadow', digest, format: 'raw' } },
    { image: { glance: '../../etc' } },
    { files: [{ path: '/etc/../x', content: '' }] },
  ];
  for (const fields of wrong) assert.equal(problemsWith(fields).length, 1, JSON.stringify(fields));
});

test('a digest is kept in lower case', () => {
  const { spec } = parseSpec({
    ...minimal,
    image: { file: '/a', digest: digest.toUpperCase().replace('SHA', 'sha'), format: 'raw' },
  });
  assert.deepEqual(spec.image, { file: '/a', digest, format: 'raw' });
});

test('onFailure is one of two words', () => {
  assert.deepEqual(problemsWith({ onFailure: 'retry' }), ['onFailure: "retry", expected one of undo, hold']);
});

test('how long a boot waits for an operator is a minute to thirty days, and only one that is held waits', () => {
  const held = { ...minimal, onFailure: 'hold', holdFor: 60 };
  assert.equal(parseSpec(held).spec.holdFor, 60);
  assert.equal(parseSpec({ ...held, holdFor: 30 * 86_400 }).spec.holdFor, 2_592_000);
  const numbers = 'expected a whole number from 60 to 2592000';
  for (const holdFor of [59, 2_592_001, 60.5]) {
    assert.deepEqual(problemsIn({ ...held, holdFor }), [`holdFor: ${holdFor}, ${numbers}`]);
  }
  for (const onFailure of [undefined, 'undo']) {
    assert.deepEqual(problemsIn({ ...held, onFailure }).at(0), 'holdFor: given without onFailure: hold');
  }
});

test('hosts are 1 to 16 names, each once, and stand instead of one host', () => {
  const many = Array.from({ length: 17 }, (_, index) => `host-${index}`);
  assert.deepEqual(parseSpec({ ...minimal, hosts: many.slice(1) }).spec.hosts, many.slice(1));
  const expected = 'hosts: a list, expected a list of 1 to 16 names of hosts, each of them once';
  for (const hosts of [[], many, ['host-a', 'host-b', 'host-a']]) {
    assert.deepEqual(problemsWith({ hosts }), [expected]);
  }
  assert.match(problemsWith({ hosts: ['host-a', 'a/b'] })[0] ?? '', /^hosts\[1\]: "a\/b", expected 1 to 64 letters/);
  assert.deepEqual(problemsWith({ host: 'host-a', hosts: ['host-a'] }), [
    'hosts: given beside host, expected one of the two',
  ]);
});

test('the published schema says of hosts and of holdFor what the parser says', () => {
  const { properties = {}, not, dependentSchemas } = specJsonSchema();
  const { hosts } = properties as Record<string, Record<string, unknown>>;
  assert.deepEqual([hosts?.minItems, hosts?.maxItems, hosts?.uniqueItems], [1, 16, true]);
  assert.deepEqual(not, { required: ['host', 'hosts'] });
  assert.deepEqual(Object.keys(dependentSchemas ?? {}), ['holdFor']);
});

test('a document without end and one with endless mistakes are refused shortly', () => {
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  assert.match(problemsWith({ vendorData: circular }).join(), /^vendorData: an object, expected/);
  assert.match(problemsWith({ networkData: circular }).join(), /^networkData: an object, expected/);

  const unknown = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`${'k'.repeat(500)}${index}`, 1]));
  const problems = problemsWith(unknown);
  assert.ok(problems.length <= 101 && problems.join('\n').length < 64 * 1024);
});

test('a tagged interface has a MAC address', () => {
  assert.deepEqual(problemsWith({ interfaces: [{ type: 'network', source: 'default', tag: 'front' }] }), [
    'interfaces[0].mac: missing, expected a MAC address, which ties the tag to its card in the guest',
  ]);
});

test('a request of an earlier release has no launch index, and is taken', () => {
  const { launchIndex: _, ...earlier } = parseSpec(minimal).spec;
  assert.deepEqual(parseSealedSpec({ ...earlier, secrets: {} }), { ...earlier, secrets: {} });
});

test('the host takes a sealed spec only whole, within the limits, and with nothing else in it', () => {
  const sealed = { sealed: `${'a'.repeat(90)}..${'b'.repeat(16)}.${'c'.repeat(64)}.${'d'.repeat(22)}` };
  const { spec } = parseSpec(minimal);
  const document = { ...spec, secrets: { userData: sealed } };
  assert.deepEqual(parseSealedSpec(document), document);

  const wrong: readonly [Record<string, unknown>, RegExp][] = [
    [{ id: '../../etc' }, /^id: /],
    [{ hostname: undefined }, /^hostname: missing/],
    [{ adminPassword: 'hunter2' }, /^adminPassword: unknown/],
    [{ secrets: undefined }, /^secrets: missing/],
    [{ secrets: { userData: 'hunter2' } }, /^secrets\.userData: a secret value/],
    [{ secrets: { userData: { sealed: 'hunter2' } } }, /^secrets\.userData\.sealed: a secret value/],
    [{ secrets: { files: { sealed: `${sealed.sealed}${'e'.repeat(maxSealedLength)}` } } }, /^secrets\.files\.sealed/],
    [{ secrets: { hunter2: sealed } }, /^secrets: has an unknown key/],
    [{ image: { file: 'relative', digest, format: 'raw' } }, /^image\.file: /],
    [{ volumes: [{ source: { block: '../etc' } }] }, /^volumes\[0\]\.source\.block: /],
    [{ volumes: [{ boot: true }] }, /^volumes\[0\]\.source: missing/],
    [{ swap: { sizeMb: 1, device: 'vda" bus="' } }, /^swap\.device: /],
  ];
  for (const [fields, expected] of wrong) {
    const problems = problemsOf(() => parseSealedSpec({ ...document, ...fields }));
    assert.equal(problems.length, 1, problems.join('\n'));
    assert.match(problems[0] ?? '', expected);
    assert.ok(!problems.join().includes('hunter2'));
  }
});

test('docs/spec.md lists exactly the fields of the schema, with their defaults and words', async () => {
  const page = await readFile(new URL('../../docs/spec.md', import.meta.url), 'utf8');
  const table = page.slice(page.indexOf('| field |'), page.indexOf('## Secrets'));
  const rows = table.split('\n').filter((line) => line.startsWith('| `'));
  const { properties = {}, required = [] } = specJsonSchema();
  const expected = Object.entries(properties).map(([name, schema]) => {
    assert.ok(typeof schema === 'object');
    return { name, words: schema.description, value: schema.default, isRequired: required.includes(name) };
  });
  assert.equal(rows.length, expected.length);
  for (const [index, { name, words, value, isRequired }] of expected.entries()) {
    const [, field, byDefault = '', text] = (rows[index] ?? '').split(' | ').flatMap((cell) => cell.split(/^\| | \|$/));
    assert.equal(field, `\`${name}\``);
    assert.equal(text, words, name);
    if (value !== undefined) assert.equal(byDefault, `\`${JSON.stringify(value)}\``, name);
    else assert.equal(byDefault === 'required', isRequired, name);
  }
});

test('the example of docs/spec.md is a spec', async () => {
  const page = await readFile(new URL('../../docs/spec.md', import.meta.url), 'utf8');
  const [, example = ''] = /```yaml\n(.*?)```/s.exec(page) ?? [];
  assert.equal(parseSpec(parseYaml(example)).spec.name, 'web-1');
});

test('the published schemas are closed, and a result has the fields of the contract', () => {
  assert.equal(specJsonSchema().additionalProperties, false);
  assert.deepEqual(specJsonSchema().required, ['name', 'flavor']);
  const { volumes } = specJsonSchema().properties ?? {};
  assert.match(JSON.stringify(volumes), /"block".*"nbd".*"export".*"rbd".*"pool"/);
  const { properties = {}, required } = resultJsonSchema();
  assert.deepEqual(Object.keys(properties), ['instanceId', 'name', 'host', 'state', 'directory', 'disks', 'domain']);
  assert.deepEqual(required, ['instanceId', 'name', 'host', 'state', 'directory', 'disks']);
});
