import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { runProgram } from '../../../hypervisor/process/run-program.ts';
import { guestReader, guestTree, makeGuestImage } from '../../fixtures/guest-images.ts';
import { file, inject } from '../../fixtures/injecting.ts';

const folder = await mkdtemp('/var/tmp/everboot-test-hostile-');
after(() => rm(folder, { recursive: true, force: true }));
const timeoutMs = 60_000;
const canary = join(folder, 'canary');

/** The state of those files of the host that a guest's links aim at. */
async function hostState(): Promise<string> {
  const hash = createHash('sha256');
  for (const path of [canary, '/etc/passwd', '/etc/shadow', '/etc/hostname']) {
    const { mtimeMs, mode, ino } = await stat(path);
    hash.update(`${path} ${mtimeMs} ${mode} ${ino} `).update(await readFile(path));
  }
  for (const path of ['/', '/etc', folder]) hash.update(`${path} ${await readdir(path)} `);
  return hash.digest('hex');
}

test('links, pipes and device nodes in an image lead nowhere but inside it, and the host stays as it was', async () => {
  await writeFile(canary, 'untouched');
  const path = await makeGuestImage(join(folder, 'hostile'), {
    files: { ...guestTree, 'var/x': '' },
    arrange: async (tree) => {
      await mkdir(join(tree, 'root'));
      await symlink('/../../../../etc', join(tree, 'root/.ssh'));
      await runProgram('mkfifo', [join(tree, 'etc/authorized_keys')], { timeoutMs });
      await symlink(canary, join(tree, 'meta.js'));
      await symlink('/etc/network/interfaces', join(tree, 'etc/network'));
      await rm(join(tree, 'etc/shadow'));
      await runProgram('mknod', [join(tree, 'etc/shadow'), 'b', '8', '0'], { timeoutMs });
      await symlink('/../../../../../../etc', join(tree, 'var/out'));
      await symlink('../../../../../../../../etc/hostname', join(tree, 'var/name'));
      await symlink(join(folder, 'no-such-folder'), join(tree, 'var/absent'));
      await symlink('loop', join(tree, 'var/loop'));
      await mkdir(join(tree, 'var/.everboot-tmp'));
      await symlink(canary, join(tree, 'bin/.everboot-tmp'));
    },
  });
  const before = await hostState();
  const report = await inject(folder, { path, format: 'raw' }, 'disk', {
    sshKeys: ['ssh-ed25519 AAAAC3Nza'],
    interfaces: 'auto lo\n',
    metadata: { a: 'b' },
    adminPassword: 'x',
    files: [
      file('/var/out/passwd', 'the guest’s own\n'),
      file('/var/name', 'renamed\n'),
      file('/bin/tool', 'tool\n', '4755'),
    ],
  });
  assert.equal(await hostState(), before);
  assert.deepEqual(report.injected, ['metadata', 'files']);
  const [keys, interfaces, password, ...others] = report.warnings;
  assert.deepEqual(others, []);
  assert.equal(keys, 'ssh keys: what is there is not a regular file');
  assert.match(interfaces ?? '', /^network interfaces: guestfish [a-z-]+: /);
  assert.equal(password, 'admin password: what is there is not a regular file');

  const guest = guestReader(path);
  assert.equal(await guest.text('/etc/passwd'), 'the guest’s own\n');
  assert.equal(await guest.text('/etc/hostname'), 'renamed\n');
  assert.equal(await guest.facts('/var/name'), '0777 0:0 symlink -> ../../../../../../../../etc/hostname');
  assert.equal(await guest.facts('/meta.js'), '0644 0:0 regular', 'a link to nothing gives way to the file');
  assert.equal(await guest.text('/meta.js'), '{"a":"b"}');
  assert.equal(await guest.facts('/bin/tool'), '04755 0:0 regular');
  assert.equal(await guest.facts('/etc/shadow'), '0644 0:0 block', 'it was not written through');
  await runProgram('e2fsck', ['-f', '-n', path], { timeoutMs });
});
