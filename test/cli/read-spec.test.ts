import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseDocument, readSpecDocument } from '../../cli/read-spec.ts';
import { EverbootFailure } from '../../domain/failures.ts';

async function refusal(text: string): Promise<EverbootFailure> {
  try {
    await parseDocument(text, 'spec.yaml');
  } catch (error) {
    assert.ok(error instanceof EverbootFailure, String(error));
    assert.equal(error.code, 'SpecInvalid');
    return error;
  }
  throw new Error('it was accepted');
}

test('JSON and YAML give the same document', async () => {
  const json = '{\n\t"name": "web-1",\n\t"metadata": {"a": "1"},\n\t"sshKeys": []\n}';
  const yaml = 'name: web-1\nmetadata:\n  a: "1"\nsshKeys: []\n';
  assert.deepEqual(await parseDocument(json, 'x'), await parseDocument(yaml, 'x'));
});

test('a key that is there twice is a mistake, in JSON, too', async () => {
  for (const text of ['{"name": "a", "name": "b"}', 'name: a\nname: b\n']) {
    assert.match((await refusal(text)).problems.join(), /duplicate key/);
  }
});

test('a mistake is placed by line and column and never quoted', async () => {
  const { problems, message } = await refusal('name: web-1\nadminPassword: "planted\nflavor: *planted\n');
  assert.ok(problems.length > 0);
  assert.match(problems[0] ?? '', /^line \d+, column \d+: /);
  assert.doesNotMatch(`${message} ${problems.join()}`, /planted/);
});

test('references that multiply are refused, and so is what is too deep', async () => {
  const levels = Array.from(
    { length: 12 },
    (_, n) => `l${n}: &l${n} [${Array(10).fill(n === 0 ? 'x' : `*l${n - 1}`)}]`,
  );
  assert.match((await refusal(levels.join('\n'))).problems.join(), /too many aliases/);
  await refusal('['.repeat(200_000));
});

test('a key with a special name is a key and nothing more', async () => {
  const document = (await parseDocument('{"__proto__": {"polluted": true}}', 'x')) as Record<string, unknown>;
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
  assert.ok(Object.hasOwn(document, '__proto__'));
});

test('a file of more than 256 KiB is not read to its end', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'everboot-spec-'));
  try {
    const path = join(folder, 'spec.yaml');
    await writeFile(path, `# ${'x'.repeat(256 * 1024)}\n`);
    await assert.rejects(readSpecDocument(path), /more than 256 KiB/);
    await assert.rejects(readSpecDocument(folder), /cannot be read \(EISDIR\)/);
    await assert.rejects(readSpecDocument('/dev/zero'), /more than 256 KiB/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
