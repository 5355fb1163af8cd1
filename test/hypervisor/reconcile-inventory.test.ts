import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { claimName } from '../../domain/claim.ts';
import { addClaim } from '../../hypervisor/image-store/claims.ts';
import { closeLibvirt } from '../../hypervisor/libvirt/libvirt.ts';
import { takeInventory } from '../../hypervisor/reconcile/take-inventory.ts';
import { hostThatMakes, recordedInstance } from '../activities/recorded-instance.ts';

test('an odd entry is reported, and keeps nothing else from being found', async (t) => {
  const folder = await mkdtemp('/var/tmp/everboot-inventory-');
  t.after(() => rm(folder, { recursive: true, force: true }));
  t.after(closeLibvirt);
  const host = await hostThatMakes(join(folder, 'host'), 'qcow2', 'connection_uri = "test:///default"');
  const { paths, configuration } = host;
  const instances = await Promise.all([1, 2, 3].map(() => recordedInstance(host, { storage: null })));
  for (const { claim } of instances) await addClaim(paths, 'a'.repeat(40), claim);

  const file = join(paths.instances, crypto.randomUUID());
  await writeFile(file, 'a file with the name of an instance');
  // The host's files give an error for it, whoever asks.
  const broken = crypto.randomUUID();
  await mkdir(join(paths.instances, broken));
  await symlink('everboot.json', join(paths.instances, broken, 'everboot.json'));
  const [odd, folderForFile] = [join(paths.claims, 'b'.repeat(40)), join(paths.fetches, `${'c'.repeat(40)}.json`)];
  await writeFile(odd, '');
  await mkdir(folderForFile);

  const { signal } = new AbortController();
  const inventory = await takeInventory({ paths, libvirt: configuration.libvirt, signal });
  const found = [...inventory.orphans.values()].filter(
    ({ directory, cacheNames }) => directory && cacheNames.length === 1,
  );
  assert.deepEqual(
    found.map(({ claim }) => claimName(claim)).sort(),
    instances.map(({ claim }) => claimName(claim)).sort(),
  );
  const foreign = new Map(inventory.foreign.map(({ subject, reason }) => [subject, reason]));
  assert.equal(foreign.get(file), 'NoClaim');
  assert.equal(foreign.get(join(paths.instances, broken)), 'UnreadableRecord');
  assert.deepEqual([...inventory.unreadable], [broken]);
  assert.deepEqual(
    inventory.notes.map((note) => note.split(' was not looked at: ')[0]).sort(),
    [odd, folderForFile].sort(),
  );
  assert.ok(inventory.libvirtAnswered);
});
