import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../..');

/** The output of a piece of the set-up when its functions are called like this. */
function said(piece: string, calls: string): string {
  const script = `set -eu; . "$0"; ${calls}`;
  return execFileSync('bash', ['-c', script, join(root, 'setup', piece)], { encoding: 'utf8' });
}

test('the set-up accepts the Nodes that package.json names, and no other', async () => {
  const { engines } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  assert.equal(engines.node, '^22.21 || ^24.5 || >24');
  const answers = {
    '22.20.0': 'no',
    '22.21.0': 'yes',
    '23.11.1': 'no',
    '24.4.1': 'no',
    '24.5.0': 'yes',
    '26.0.0': 'yes',
  };
  for (const [version, answer] of Object.entries(answers)) {
    const calls = `if is_new_enough ${version}; then printf yes; else printf no; fi`;
    assert.equal(said('node.sh', calls), answer, version);
  }
});

test('a program that was a part of QEMU is installed with it where it has no package of its own', () => {
  const named = (answer: string): string =>
    said(
      'packages.sh',
      `apt-cache() { ${answer}; }; packages=' lvm2 virtiofsd'; name_packages_as_here; echo "$packages"`,
    );
  assert.equal(named('false').trim(), 'lvm2 qemu-system-common');
  assert.equal(named('true').trim(), 'lvm2 virtiofsd');
});
