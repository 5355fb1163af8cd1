import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { access, copyFile, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runProgram } from '../../hypervisor/process/run-program.ts';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';
import { stateDirectory } from '../fixtures/state-directory.ts';

const guestImage = join(stateDirectory(), 'cloud-guest', 'disk.qcow2');
const hasGuest = await access(guestImage).then(
  () => true,
  () => false,
);
const skip =
  (!hasGuest && 'no Debian guest is made here: this is not Debian') ||
  (process.getuid?.() !== 0 && 'a bridge between the host and the guest takes root');

/** Addresses that are in no network: RFC 5737. */
const hostAddress = '203.0.113.1';
const guestAddress = '203.0.113.10';
const mac = '52:54:00:c1:0d:01';
const sshKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMoSW69KH7F76XKmBFTAdiWaFKSfGiQGLupNKWk0jVEo test';

/** A bridge that only the host and the guest are on. */
async function makeBridge(t: TestContext): Promise<string> {
  const name = `evb${crypto.randomUUID().slice(0, 8)}`;
  const ip = (...args: string[]) => runProgram('ip', args, { timeoutMs: 120_000 });
  await ip('link', 'add', name, 'type', 'bridge');
  t.after(() => ip('link', 'delete', name));
  await ip('address', 'add', `${hostAddress}/24`, 'dev', name);
  await ip('link', 'set', name, 'up');
  return name;
}

async function virsh(args: readonly string[]): Promise<string> {
  const { stdout } = await runProgram('virsh', ['-c', 'qemu:///system', ...args], { timeoutMs: 120_000 });
  return stdout.trim();
}

/** A server on the host's side of that network, which answers one text. */
async function answering(t: TestContext, text: string): Promise<number> {
  const server = createServer((_request, response) => response.end(text)).listen(0, hostAddress);
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** The guest's report of itself on its console, once it has turned itself off. */
async function reportOf(directory: string, domain: string): Promise<any> {
  const deadline = Date.now() + 600_000;
  while ((await virsh(['domstate', domain])) !== 'shut off') {
    assert.ok(Date.now() < deadline, 'the guest did not turn itself off within ten minutes');
    await sleep(1000);
  }
  const console = await readFile(join(directory, 'console.log'), 'utf8');
  const [, report] = /^cloud guest: (.*)\r?$/m.exec(console) ?? [];
  assert.ok(report, `no report on the console, which ends with ${console.slice(-2000)}`);
  return JSON.parse(report);
}

async function specOf(up: RunningEverboot, bridge: string, port: number): Promise<Record<string, unknown>> {
  const file = join(up.folder, 'cloud-guest.qcow2');
  await copyFile(guestImage, file);
  const digest = createHash('sha256').update(await readFile(file));
  const report = await readFile(join(import.meta.dirname, 'cloud-guest-report.py'), 'utf8');
  return {
    name: 'cloud-guest',
    hostname: 'web-1.example.org',
    launchIndex: 3,
    flavor: { vcpus: 2, memoryMb: 512, rootGb: 2, ephemeralGb: 1, swapMb: 64 },
    image: { file, digest: `sha256:${digest.digest('hex')}`, format: 'qcow2' },
    ephemerals: [{ sizeGb: 1, tag: 'scratch' }],
    sshKeys: [sshKey],
    userData: report.replace('@PORT@', String(port)),
    files: [{ path: '/etc/injected', content: 'from the spec\n', mode: '0600' }],
    vendorData: {
      'cloud-init': [
        '#cloud-config',
        'write_files: [{path: /etc/from-vendor-data, content: "from the vendor", permissions: "0640"}]',
      ].join('\n'),
    },
    interfaces: [{ type: 'bridge', source: bridge, mac, tag: 'front' }],
    networkData: {
      links: [{ id: 'tap0', type: 'phy', mtu: 1400, ethernet_mac_address: mac }],
      networks: [
        {
          id: 'network0',
          type: 'ipv4',
          link: 'tap0',
          ip_address: guestAddress,
          netmask: '255.255.255.0',
          routes: [{ network: '0.0.0.0', netmask: '0.0.0.0', gateway: hostAddress }],
        },
      ],
      services: [{ type: 'dns', address: hostAddress }],
    },
  };
}

test('a Debian guest finds on its config drive all that the spec says', {
  skip,
}, async (t) => {
  const up = await startEverboot({ command: 'up' });
  const id = crypto.randomUUID();
  t.after(async () => {
    // Deleting what is not there succeeds; a guest that a failed test left behind would run on.
    await up.json(['delete', id]);
    await up.stop();
  });
  const bridge = await makeBridge(t);
  const port = await answering(t, 'seen by the host');
  const { code, document } = await up.json(['create', '-f', '-'], { id, ...(await specOf(up, bridge, port)) });
  assert.equal(code, 0, JSON.stringify(document));
  assert.equal(document.state, 'running');
  const report = await reportOf(document.directory, document.domain);

  assert.match(report.source, /^config-disk \(\/dev\/sr0\)$/);
  assert.equal(report.hostname, 'web-1');
  assert.equal(report.keys, `${sshKey}\n`);
  // No config drive has room for modes that cloud-init reads: this is the one that it gives to every file.
  assert.deepEqual(report.file, { content: 'from the spec\n', mode: '0o660', owner: 'root:root' });
  assert.deepEqual(report.vendorFile, { content: 'from the vendor', mode: '0o640', owner: 'root:root' });

  const [card] = report.addresses;
  assert.deepEqual([card.address, card.mtu], [mac, 1400]);
  const address = card.addr_info.find(({ family }: { family: string }) => family === 'inet');
  assert.deepEqual([address.local, address.prefixlen], [guestAddress, 24]);
  assert.equal(report.routes[0].gateway, hostAddress);
  assert.match(report.interfaces, new RegExp(`dns-nameservers ${hostAddress}`));
  assert.equal(report.answer, 'seen by the host', 'the network works');

  assert.equal(report.mounted, '/dev/vdb', 'cloud-init mounts the ephemeral disk that the EC2 tree names');
  assert.match(report.swaps, /^\/dev\/vdc /m);
  assert.equal(report.launchIndex, '3');
  assert.deepEqual(report.devices, [
    { type: 'disk', serial: null, path: report.mounted, bus: 'pci', address: 'none', tags: ['scratch'] },
    { vf_trusted: false, type: 'nic', mac, bus: 'pci', address: 'none', tags: ['front'] },
  ]);

  assert.equal((await up.json(['delete', id])).document.existed, true);
  await assertCleanSlate(up.paths, [id]);
});
