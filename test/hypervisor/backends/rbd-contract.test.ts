import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cephPool, startCeph } from '../../fixtures/ceph.ts';
import { cephSettings, newCephInstance, setFull } from '../../fixtures/ceph-host.ts';
import { type BackendUnderTest, backendContract } from './contract.ts';

backendContract('rbd', async (): Promise<BackendUnderTest> => {
  const ceph = await startCeph();
  // Nothing of this cluster is ever silent, so that a long wait costs nothing.
  const settings = await cephSettings(ceph, 30);
  // A cluster that is full stays so for everybody, hence one of its own.
  const full = await startCeph();
  await setFull(full, true);
  return {
    settings,
    kept: { format: 'raw', storage: 'rbd' },
    newInstance: () => newCephInstance(ceph),
    guestView: async ({ path }, folder) => {
      const view = join(folder, `view-${randomUUID()}`);
      await ceph.rbd('export', '--no-progress', path.replace('rbd:', ''), view);
      return view;
    },
    leftOf: async ({ claim }) => {
      const images = (await ceph.rbd('ls', cephPool)).split('\n');
      // Bases stay, for the next instance; one that is being imported carries the claim in its name.
      return images.filter((name) => name.includes(claim.instanceId)).map((name) => name.slice(37));
    },
    removeDirectory: ({ directory }) => rm(directory, { recursive: true, force: true }),
    newInstanceWithoutRoom: async () => {
      return { context: await newCephInstance(full), settings: await cephSettings(full) };
    },
    xmlOfRoot:
      /^network <source protocol='rbd' name='vms\/[0-9a-f-]{36}_disk'>\s*<config file='[^']*\/ceph.conf'\/>\s*<\/source>/,
    stop: async () => {
      await ceph.stop();
      await full.stop();
    },
  };
});
