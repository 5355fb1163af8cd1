import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { matchedMessages, messageProblems } from '../checks/matched-messages.ts';

/** The lines at which a message is matched, in one file or in several. */
function linesOf(...texts: readonly string[]): string[] {
  const files = texts.map((text, index) => ({ file: `hypervisor/${'abc'[index]}.ts`, text }));
  return matchedMessages(files).map(({ file, line }) => `${file}:${line}`);
}

const matching = {
  'by a pattern': 'if (/printed more than/.test(error.message)) throw error;',
  'by a named pattern': 'if (hostFault.test(error.message)) throw error;',
  'by a part of it': 'return error.message.includes(`exit status 99:`) ? undefined : "";',
  'by how it begins': "return failure?.message.startsWith('qemu-img');",
  'by what a pattern finds in it': 'return error.message.match(/ ended with exit status (\\d+)/) ?? undefined;',
  'by all of it': "if (error.message === 'it said nothing') return null;",
  'in a switch': 'switch (failure.message) {',
  'under another name': 'const said = error.message;\n/in use/.test(said);',
  'as a part under another name':
    'const said = error.message;\nconst [last] = said.split("\\n");\n/in use/.test(last);',
  'taken out of the error': 'const { message: said } = error;\nreturn said.endsWith("full");',
  'as libvirt’s words': 'if (/no domain/.test(wordsOf(error))) return null;',
  'as a text': 'if (/ENOSPC/.test(String(error))) return null;',
  'as a remedy': "return remedy.replace(/, or choose another host/, '');",
  'as a program’s words, outside of their file': 'if (/in use/.test(error.program.stderrTail)) return null;',
};

for (const [how, text] of Object.entries(matching)) {
  test(`a message that is matched ${how} is found`, () => {
    assert.deepEqual(linesOf(text), [`hypervisor/a.ts:${text.split('\n').length}`]);
  });
}

test('a message that is matched in the function it was given to is found there, in whichever file that is', () => {
  const asking = 'throw startFailure(error.message, 1);';
  const asked = 'export function startFailure(words: string, tries: number): Error {\n  return /kvm/.test(words);\n}';
  assert.deepEqual(linesOf(asking, asked), ['hypervisor/b.ts:2']);
});

test('showing a message, changing it for display and deciding by a code are no matches', () => {
  const fine = [
    'throw new EverbootFailure("HostIoError", error.message.slice(0, 300));',
    'const failure = new EverbootFailure("HostIoError", error.message);\nif (failure.code === "HostIoError") throw failure;',
    'const code = codeOf(error.message);\nif (codes.includes(code)) throw error;',
    "const shown = error.message.replaceAll(path, 'the file').slice(0, 500);",
    'if (error.program?.exitCode === 99) return undefined;',
    "// Never: /x/.test(error.message)\n/** error.message.includes('x') */",
    "if (typeof document?.message === 'string') return document;",
    'if (old.lastFailure?.message !== step.lastFailure?.message) news.push(step);',
  ];
  for (const text of fine) assert.deepEqual(linesOf(text), [], text);
});

test('the words of a program may be matched in the file of its words', () => {
  const text = 'return /in use/.test(end.stderrTail);';
  assert.deepEqual(matchedMessages([{ file: 'hypervisor/programs/lvm-words.ts', text }]), []);
});

test('nothing in the product decides by a message, and every exception is needed', async () => {
  assert.deepEqual(await messageProblems(join(import.meta.dirname, '../..')), []);
});
