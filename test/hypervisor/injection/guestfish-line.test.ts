import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { runProgram } from '../../../hypervisor/process/run-program.ts';
import { commandLine } from '../../../hypervisor/programs/guestfish-line.ts';

const folder = await mkdtemp('/var/tmp/everboot-test-line-');
after(() => rm(folder, { recursive: true, force: true }));
const canary = join(folder, 'canary');

/** Runs guestfish on lines, without any disk. */
async function guestfish(input: string): Promise<{ stdout: string; failed: boolean }> {
  try {
    return { stdout: (await runProgram('guestfish', [], { input, timeoutMs: 120_000 })).stdout, failed: false };
  } catch {
    return { stdout: '', failed: true };
  }
}

const hostile = [
  `/x\n!touch ${canary}\n`,
  `/x\r\n!touch ${canary}`,
  `" | touch ${canary}`,
  `/x" "!touch ${canary}`,
  `\\" | touch ${canary} #`,
  `\\\\" | touch ${canary}`,
  `' | touch ${canary} '`,
  `<! touch ${canary}`,
  `!touch ${canary}`,
  `|touch ${canary}`,
  `$(touch ${canary}) \`touch ${canary}\` \${HOME}`,
  '~root/x',
  '/*',
  'win:\\x',
  '# no comment',
  '/\x01\x1b[2J\t/ünïcödé/\u{1f980}/\\x41\\n',
  ' /leading and trailing ',
];

test('guestfish takes every text for what it is, and runs no program of the host', async () => {
  for (const text of hostile) {
    const { stdout } = await guestfish(commandLine('echo', [text, 'end']));
    assert.equal(stdout, `${text} end\n`);
  }
  assert.deepEqual(await readdir(folder), []);
});

test('without quotes the same texts do run programs', async () => {
  await guestfish(`echo ${hostile[0]}\n`);
  assert.deepEqual(await readdir(folder), ['canary']);
  await rm(canary);
});

test('a line that guestfish would cut in two is refused', async () => {
  // Every byte that is written as four: at 8191 the rest begins, and would be the next command.
  const cut = `${'"'.repeat(2046)}\n!touch ${canary}`;
  assert.throws(() => commandLine('echo', [cut]), { code: 'ProgramFailed', message: /too long/ });
  assert.ok(commandLine('echo', ['"'.repeat(1900)]).length < 8192);
});

test('what would be guestfish’s own input or output, or ends a text early, is refused', () => {
  for (const text of ['', '-', '-<<END', '/a\0b']) {
    assert.throws(() => commandLine('echo', [text]), { code: 'ProgramFailed' }, JSON.stringify(text));
  }
});
