import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mkfsEntryPattern, mkfsWords, ownMkfsCommand, wordsFor } from '../../domain/mkfs-commands.ts';

test('Nova’s own examples of virt_mkfs are entries', () => {
  for (const entry of [
    'default=mkfs.ext3 -L %(fs_label)s -F %(target)s',
    'linux=mkfs.ext4 -L %(fs_label)s -F %(target)s',
    'windows=mkfs.ntfs --force --fast --label %(fs_label)s %(target)s',
  ]) {
    assert.match(entry, mkfsEntryPattern);
  }
});

test('an entry without the target, for no os type, or with another placeholder is none', () => {
  for (const entry of [
    'linux=mkfs.ext4',
    'beos=mkfs.bfs %(target)s',
    'mkfs.ext4 %(target)s',
    'linux=mkfs.ext4 %(size)s %(target)s',
    'linux=mkfs.ext4 %s %(target)s',
    'linux=mkfs.ext4 %(target)s\nrm',
  ]) {
    assert.doesNotMatch(entry, mkfsEntryPattern);
  }
});

test('an os type has its own command, else the default one, and of two the last', () => {
  const entries = ['default=a %(target)s', 'linux=b %(target)s', 'linux=c -o x=y %(target)s'];
  assert.equal(ownMkfsCommand(entries, 'linux'), 'c -o x=y %(target)s');
  assert.equal(ownMkfsCommand(entries, 'windows'), 'a %(target)s');
  assert.equal(ownMkfsCommand(['windows=a %(target)s'], 'linux'), undefined);
});

test('a label and a path are never more than one word, and a doubled percent sign is one', () => {
  const words = mkfsWords('mkfs  -m 5%% -L %(fs_label)s --to=%(target)s', 'a b');
  const expected = ['mkfs', '-m', '5%', '-L', 'a b', '--to=/x y/%%/disk'];
  assert.deepEqual(wordsFor(words, '/x y/%%/disk'), expected);
});
