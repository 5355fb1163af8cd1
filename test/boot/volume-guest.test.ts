import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeGuestImage } from '../../cli/demo/guest-image.ts';
import { listFolder } from '../../hypervisor/files/small-file.ts';
import { type RunningProgram, runProgram, startProgram } from '../../hypervisor/process/run-program.ts';
import { assertCleanSlate } from '../fixtures/clean-slate.ts';
import { freePort } from '../fixtures/free-port.ts';
import { untilReported } from '../fixtures/guest-console.ts';
import { type RunningEverboot, startEverboot } from '../fixtures/running-everboot.ts';
import { stateDirectory } from '../fixtures/state-directory.ts';

const timeoutMs = 60_000;

let up: RunningEverboot;
before(async () => {
  const toml = '[host]\nvolume_servers = ["127.0.0.1"]\nvolume_device_roots = ["/dev"]\n';
  up = await startEverboot({ command: 'up', toml });
});
after(() => up?.stop());

/** A server with one export, which ends with the test. Its guest may come again, and so do its connections. */
async function serve(t: TestContext, file: string, format: 'raw' | 'qcow2', exportName: string): Promise<number> {
  const port = await freePort();
  const args = ['--bind', '127.0.0.1', '--port', String(port), '--format', format, '--persistent'];
  const log = join(up.folder, `${exportName}.log`);
  const more = ['--export-name', exportName, '--shared', '4', file];
  const server: RunningProgram = startProgram('qemu-nbd', [...args, ...more], {
    logFile: log,
    workingDirectory: up.folder,
  });
  t.after(() => server.stop(5000));
  for (let waits = 0; waits < 100 && !(await answers(port)); waits += 1) await sleep(50);
  return port;
}

async function answers(port: number): Promise<boolean> {
  const connection = createConnection(port, '127.0.0.1');
  const isOpen = await once(connection, 'connect').then(
    () => true,
    () => false,
  );
  connection.destroy();
  return isOpen;
}

async function makeVolume(name: string, label: string): Promise<string> {
  const path = join(up.folder, name);
  await runProgram('mkfs.ext4', ['-q', '-L', label, path, '16M'], { timeoutMs });
  return path;
}

/** A block device of the host, until the test has ended; undefined where the kernel has none to give. */
async function loopDevice(t: TestContext, file: string): Promise<string | undefined> {
  try {
    const { stdout } = await runProgram('losetup', ['--find', '--show', file], { timeoutMs });
    const device = stdout.trim();
    t.after(() => runProgram('losetup', ['--detach', device], { timeoutMs }));
    return device;
  } catch {
    return undefined;
  }
}

test('a guest boots from an NBD export and sees every other disk of its spec', { timeout: 280_000 }, async (t) => {
  const guestRoot = join(stateDirectory(), 'guest', 'root');
  const image = await makeGuestImage(guestRoot, join(up.folder, 'guest-image'), AbortSignal.timeout(120_000));
  const rootPort = await serve(t, image.path, 'qcow2', 'root');
  const dataPort = await serve(t, await makeVolume('on-nbd.raw', 'vol-nbd'), 'raw', 'data');
  const device = await loopDevice(t, await makeVolume('on-block.raw', 'vol-block'));
  const server = { host: '127.0.0.1' };
  const spec = {
    name: 'from-volume',
    flavor: { vcpus: 1, memoryMb: 256, rootGb: 1, ephemeralGb: 2, swapMb: 64 },
    ephemerals: [{ sizeGb: 1 }, { sizeGb: 1, fileSystem: 'xfs' }],
    volumes: [
      { nbd: { ...server, port: rootPort, export: 'root' }, boot: true },
      { nbd: { ...server, port: dataPort, export: 'data' } },
      ...(device === undefined ? [] : [{ block: device, readOnly: true }]),
    ],
  };
  const { code, document } = await up.json(['create', '-f', '-'], spec);
  assert.equal(code, 0, JSON.stringify(document));
  const names = document.disks.map(({ name }: { name: string }) => name).sort();
  assert.deepEqual(names, ['disk.config', 'disk.eph0', 'disk.eph1', 'disk.swap']);
  assert.ok(!(await listFolder(document.directory)).includes('disk'), 'no root disk is made');

  const { disks, swap, hostname } = await untilReported(document.directory);
  const labels = disks.map(({ name, label }) => `${name} ${label}`);
  for (const seen of ['vdb ephemeral0', 'vdc ephemeral1', 'vde vol-nbd', 'sr0 config-2']) {
    assert.ok(labels.includes(seen), `${seen} is not among ${labels.join(', ')}`);
  }
  assert.ok(labels.some((label) => /^vda\d cloudimg-rootfs$/.test(label)));
  if (device === undefined) t.diagnostic('no loop device: a block volume was not shown');
  else assert.ok(labels.includes('vdf vol-block'), labels.join(', '));
  assert.deepEqual(
    swap.map(({ name }) => name),
    ['vdd'],
  );
  assert.equal(hostname, 'from-volume');

  assert.equal((await up.json(['delete', document.instanceId])).code, 0);
  await assertCleanSlate(up.paths, [document.instanceId]);
});

test('a volume that the host’s configuration does not name is refused before anything is made', async () => {
  const volumes = [{ nbd: { host: '127.0.0.2', port: 10809 }, boot: true }];
  const { code, document } = await up.json(['create', '-f', '-'], { name: 'foreign', flavor: 'm1.tiny', volumes });
  assert.equal(code, 1);
  assert.equal(document.error.code, 'HostUnsuitable');
  assert.equal(document.error.step, 'planInstance');
});
