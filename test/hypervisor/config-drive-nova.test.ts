import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseSpec } from '../../domain/parse-spec.ts';
import type { GuestDisks } from '../../hypervisor/config-drive/contents.ts';
import { deviceMetadata } from '../../hypervisor/config-drive/device-metadata.ts';
import { metadataTree } from '../../hypervisor/config-drive/metadata-tree.ts';

const root = join(import.meta.dirname, '..', '..');

/** A config drive's files by their path: JSON parsed, everything else as text. */
type Tree = Record<string, any>;

interface Instance {
  readonly spec: Record<string, unknown>;
  readonly disks: GuestDisks;
}

const instances = (await readJson('test/fixtures/nova/instances.json')) as Record<string, Instance>;
/** Nova's files for them. */
const novaTrees = (await readJson('test/fixtures/nova/trees.json')) as Record<string, Tree>;
const randomSeed = Buffer.alloc(512, 1).toString('base64');

async function readJson(path: string): Promise<unknown> {
  return JSON.parse(await readFile(join(root, path), 'utf8'));
}

/** Our files for the same instance: where it has fixed addresses, the spec says of them what Neutron said. */
function ownTree(name: string): Tree {
  const { spec: document, disks } = instances[name] as Instance;
  const networkData = name === 'full' ? { networkData: novaTrees.full?.['openstack/latest/network_data.json'] } : {};
  const { spec, secrets } = parseSpec({ ...document, ...networkData });
  const files = metadataTree({ spec, secrets, disks }, { randomSeed });
  return Object.fromEntries(
    files.map(({ path, bytes }) => {
      const text = Buffer.from(bytes).toString('utf8');
      return [path, path.endsWith('.json') ? JSON.parse(text) : text];
    }),
  );
}

const filesNamed = (tree: Tree, name: string): any[] =>
  Object.entries(tree).flatMap(([path, value]) => (path.endsWith(`/${name}`) ? [value] : []));
const openstack = (tree: Tree): any[] => filesNamed(tree, 'meta_data.json');
const ec2 = (tree: Tree): any[] => filesNamed(tree, 'meta-data.json');

/** Each difference that the decision lists, by its name there: makes of Nova's files what they are to be here. */
const differences: Record<string, (nova: Tree, own: Tree) => void> = {
  'Host name': (nova) => {
    const withoutDomain = (name: string): string => name.replace(/\.novalocal$/, '');
    for (const file of openstack(nova)) file.hostname = withoutDomain(file.hostname);
    for (const file of ec2(nova)) {
      for (const field of ['hostname', 'local-hostname', 'public-hostname']) file[field] = withoutDomain(file[field]);
    }
  },
  'Key names': (nova) => {
    for (const { keys = [], public_keys = {} } of openstack(nova)) {
      for (const key of keys) key.name = key.name.replace('alice', 'key-0');
      if ('alice' in public_keys) {
        public_keys['key-0'] = public_keys.alice;
        delete public_keys.alice;
      }
    }
    for (const { 'public-keys': keys } of ec2(nova)) if (keys) keys[0]._name = '0=key-0';
  },
  'File modes': (nova) => {
    for (const { files = [] } of openstack(nova)) {
      for (const file of files) if (file.path === '/etc/app/key') file.mode = '0600';
    }
  },
  'Device addresses': (nova) => {
    const paths: Record<string, string> = { scratch: '/dev/vdb', db: '/dev/sda', log: '/dev/sdb' };
    for (const device of openstack(nova).flatMap(({ devices = [] }) => devices)) {
      device.address = 'none';
      if (device.type === 'disk') device.path = paths[device.tags[0]];
    }
  },
  'EC2 ids': (nova, own) => {
    for (const [index, file] of ec2(nova).entries()) {
      for (const field of ['instance-id', 'ami-id', 'kernel-id', 'ramdisk-id', 'reservation-id']) {
        if (!(field in file)) continue;
        const made = ec2(own)[index]?.[field];
        if (made === null) assert.equal(field, 'ami-id');
        else assert.match(made, new RegExp(`^${file[field].split('-')[0]}-[0-9a-f]{17}$`), field);
        file[field] = made;
      }
    }
  },
  'Security groups': (nova) => {
    for (const file of ec2(nova)) file['security-groups'] = [];
  },
  'Network by DHCP': (nova, own) => {
    if ('openstack/latest/network_data.json' in own) return;
    for (const path of Object.keys(nova)) if (path.endsWith('/network_data.json')) delete nova[path];
    for (const file of ec2(nova)) file['local-ipv4'] = null;
  },
  'Random seed': (nova) => {
    for (const file of openstack(nova)) {
      if (!('random_seed' in file)) continue;
      assert.equal(Buffer.from(file.random_seed, 'base64').length, 512);
      file.random_seed = randomSeed;
    }
  },
};

for (const name of Object.keys(instances)) {
  test(`the files for the instance "${name}" are Nova's, but for the differences that are written down`, () => {
    const own = ownTree(name);
    const expected = structuredClone(novaTrees[name] as Tree);
    for (const adapt of Object.values(differences)) adapt(expected, own);
    assert.deepEqual(Object.keys(own).sort(), Object.keys(expected).sort());
    for (const [path, value] of Object.entries(expected)) assert.deepEqual(own[path], value, path);
  });
}

test('each difference that is written down is one', () => {
  for (const [difference, adapt] of Object.entries(differences)) {
    const changed = Object.keys(instances).filter((name) => {
      const nova = structuredClone(novaTrees[name] as Tree);
      adapt(nova, ownTree(name));
      return JSON.stringify(nova) !== JSON.stringify(novaTrees[name]);
    });
    assert.ok(changed.length > 0, difference);
  }
});

test('the decision lists exactly these differences', async () => {
  const page = await readFile(join(root, 'docs/decisions/config-drive.md'), 'utf8');
  const section = page.slice(page.indexOf('## In the files'), page.indexOf('## Around the files'));
  const listed = [...section.matchAll(/^- \*\*(.+)\.\*\*/gm)].map(([, name]) => name);
  assert.deepEqual(listed, Object.keys(differences));
});

test('every key of a spec is on the drive, each under a name of its own', () => {
  const { spec: document, disks } = instances.full as Instance;
  const [key] = document.sshKeys as string[];
  const { spec, secrets } = parseSpec({ ...document, sshKeys: [key, `${key}-2`] });
  const files = metadataTree({ spec, secrets, disks }, { randomSeed });
  const read = (path: string) =>
    JSON.parse(Buffer.from(files.find((file) => file.path === path)?.bytes ?? []).toString());
  assert.deepEqual(read('openstack/latest/meta_data.json').public_keys, { 'key-0': key, 'key-1': `${key}-2` });
  assert.deepEqual(read('ec2/latest/meta-data.json')['public-keys'], {
    0: { _name: '0=key-0', 'openssh-key': key },
    1: { _name: '1=key-1', 'openssh-key': `${key}-2` },
  });
});

test('a tagged card is identified by its MAC address in lower case, and by its bus', () => {
  const mac = 'FA:16:3E:00:00:0A';
  const cards = [
    { type: 'network', source: 'default', mac, tag: 'front' },
    { type: 'network', source: 'default', mac: 'fa:16:3e:00:00:0b', model: 'usb-net', tag: 'back' },
    { type: 'network', source: 'default', mac: 'fa:16:3e:00:00:0c' },
  ] as const;
  const told = { type: 'nic', address: 'none' };
  assert.deepEqual(deviceMetadata({ disks: undefined, interfaces: cards }, { saysTrust: false }), [
    { ...told, mac: mac.toLowerCase(), bus: 'pci', tags: ['front'] },
    { ...told, mac: 'fa:16:3e:00:00:0b', bus: 'none', tags: ['back'] },
  ]);
});

test('a request of an earlier release, which has no launch index, is the first of its launch', () => {
  const { spec: document, disks } = instances.bare as Instance;
  const { spec, secrets } = parseSpec(document);
  const { launchIndex: _, ...earlier } = spec;
  assert.deepEqual(
    metadataTree({ spec: earlier, secrets, disks }, { randomSeed }),
    metadataTree({ spec, secrets, disks }, { randomSeed }),
  );
});
