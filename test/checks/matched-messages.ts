import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/*
 * Finds product code that decides something by the text of a message. A message is for people: whoever rewords it must
 * not change what happens. What is decided goes by a failure's code, or by its program's end.
 */

/** The product's folders; tests may look at words as much as they like. */
const productFolders = ['domain', 'client', 'workflows', 'activities', 'hypervisor', 'workers', 'cli'];

/** Matches that are meant, by file and by the code that matches. */
export const exceptions = [
  {
    file: 'workers/log.ts',
    match: 'meant.test(message)',
    reason: 'a log entry of the Temporal SDK, which gives its warnings no code',
  },
  {
    file: 'hypervisor/process/program-failure.ts',
    match: 'stderrTail',
    reason: 'the words of util-linux and glibc around every program, which is this file’s concern',
  },
  {
    file: 'hypervisor/disks/preallocate.ts',
    match: 'stderrTail',
    reason: 'fallocate has this one caller, and its words stand above it',
  },
] as const;

export interface Finding {
  readonly file: string;
  readonly line: number;
  readonly code: string;
}

interface SourceFile {
  readonly file: string;
  readonly text: string;
  /** Names that hold a message, or what was cut out of one. */
  readonly names: Set<string>;
}

/** Where an error's text comes from. */
const sources =
  /\b(?:message|shortMessage|originalMessage|stack)\b|\bwordsOf\(|\bsentenceOf\(|\bString\((?:error|cause|failure)\)/;

/** The names of the calls and comparisons that decide something by a text. */
const receivers = ['match', 'matchAll', 'includes', 'startsWith', 'endsWith', 'search', 'indexOf', 'lastIndexOf'].join(
  '|',
);

/**
 * Finds every place in these files where a message is matched, through variables and through the functions it is given
 * to.
 */
export function matchedMessages(files: readonly { readonly file: string; readonly text: string }[]): Finding[] {
  const read = files.map(({ file, text }): SourceFile => ({ file, text: withoutComments(text), names: new Set() }));
  let known = -1;
  for (let count = 0; count !== known; count = read.reduce((sum, { names }) => sum + names.size, 0)) {
    known = count;
    for (const source of read) noteVariables(source);
    noteParameters(read);
  }
  return read.flatMap(matchesIn);
}

/**
 * The problems in the product below `root`, a line for each: matches that are not meant, and exceptions that nothing
 * needs.
 */
export async function messageProblems(root: string): Promise<string[]> {
  const files: { file: string; text: string }[] = [];
  for await (const file of glob(`{${productFolders.join(',')}}/**/*.ts`, { cwd: root })) {
    files.push({ file, text: await readFile(join(root, file), 'utf8') });
  }
  const found = matchedMessages(files);
  const unmeant = found.filter((finding) => !exceptions.some((exception) => isExcepted(finding, exception)));
  const unneeded = exceptions.filter((exception) => !found.some((finding) => isExcepted(finding, exception)));
  return [
    ...unmeant.map(({ file, line, code }) => `${file}:${line} decides by the text of a message: ${code}`),
    ...unneeded.map(({ file, match }) => `${file} is excepted for “${match}”, which is not there`),
  ];
}

function isExcepted({ file, code }: Finding, exception: (typeof exceptions)[number]): boolean {
  return exception.file === file && code.includes(exception.match);
}

/** Lines stay where they are. */
function withoutComments(text: string): string {
  const blank = (comment: string): string => comment.replace(/[^\n]/g, ' ');
  return text.replace(/^\s*\/\/.*$/gm, blank).replace(/^\s*\/\*[\s\S]*?\*\//gm, blank);
}

function holdsMessage(expression: string, names: ReadonlySet<string>): boolean {
  const tested = withoutArguments(expression);
  if (sources.test(tested)) return true;
  return [...tested.matchAll(/(?<![\w.'"`])[A-Za-z_]\w*\b(?!:)/g)].some(([name]) => names.has(name));
}

/** A function's result from a message is its own; decisions by the message are found inside the function. */
function withoutArguments(expression: string): string {
  const inner = /(?<!\b(?:String|wordsOf|sentenceOf))\([^()]*\)/g;
  const outer = expression.replace(inner, '');
  return outer === expression ? expression : withoutArguments(outer);
}

/** `const said = error.message`, `const { message: said } = error`, `const [line] = said.split(…)`. */
function noteVariables({ text, names }: SourceFile): void {
  for (const [, name = '', value = ''] of text.matchAll(/\b(?:const|let) (\w+)(?:: [^=]+)? = ([^;]*);/g)) {
    if (!isFunction(value) && holdsMessage(value, names)) names.add(name);
  }
  for (const [, renamed = ''] of text.matchAll(/\bmessage: (\w+)\b(?=[^;]*\} =)/g)) names.add(renamed);
  for (const [, pattern = '', value = ''] of text.matchAll(/\b(?:const|let) \[([^\]]*)\] = ([^;]*);/g)) {
    if (!holdsMessage(value, names)) continue;
    for (const [name] of pattern.matchAll(/\w+/g)) names.add(name);
  }
}

function isFunction(value: string): boolean {
  return /^(?:async )?(?:\([^)]*\)|\w+)(?:: [\w<>[\] |]+)? =>/.test(value);
}

/** A function that gets a message as an argument has it as a parameter, in whichever file the function is. */
function noteParameters(files: readonly SourceFile[]): void {
  const functions = new Map<string, { readonly parameters: readonly string[]; readonly names: Set<string> }>();
  for (const { text, names } of files) {
    for (const found of text.matchAll(/\bfunction (\w+)(?:<[^(]*>)?\(/g)) {
      const list = argumentsFrom(text, found.index + found[0].length);
      functions.set(found[1] ?? '', { parameters: list.map((each) => /^\s*(\w+)/.exec(each)?.[1] ?? ''), names });
    }
  }
  for (const { text, names } of files) {
    for (const found of text.matchAll(/(?<!function )\b(\w+)\(/g)) {
      const called = functions.get(found[1] ?? '');
      if (called === undefined) continue;
      argumentsFrom(text, found.index + found[0].length).forEach((argument, index) => {
        const parameter = called.parameters[index];
        if (parameter !== undefined && parameter !== '' && isText(argument, names)) called.names.add(parameter);
      });
    }
  }
}

/** Whether an argument is the text itself, and not an object or a call that has it somewhere inside. */
function isText(argument: string, names: ReadonlySet<string>): boolean {
  return /^\s*[\w.?]+(?:\.\w+\([^()]*\))*\s*$/.test(argument) && holdsMessage(argument, names);
}

/** The arguments of a call, or the parameters of a function, from behind its opening bracket. */
function argumentsFrom(text: string, start: number): string[] {
  const list = [''];
  for (let index = start, depth = 0; index < text.length && index < start + 2000; index += 1) {
    const character = text[index] ?? '';
    if ('([{'.includes(character)) depth += 1;
    if (')]}'.includes(character)) depth -= 1;
    if (depth < 0) break;
    if (character === ',' && depth === 0) list.push('');
    else list.push(`${list.pop()}${character}`);
  }
  return list;
}

function matchesIn({ file, text, names }: SourceFile): Finding[] {
  const held = ['message', 'shortMessage', 'originalMessage', ...names].join('|');
  const isWordsFile = /-words\.ts$/.test(file);
  // The words of a program stand in a file of their own beside it.
  const value = isWordsFile ? held : `${held}|stderrTail`;
  const patterns = [
    new RegExp(`\\.(?:test|exec)\\(\\s*(?:[\\w.?]+\\.)?(?:${value})\\b(?!\\s*\\()[^)]*\\)`, 'g'),
    new RegExp(
      `\\b(?:${value})(?:\\s*\\?\\?\\s*''\\))?(?:\\s*\\??\\.(?:trim|toLowerCase|slice)\\([^)]*\\))*\\s*\\??\\.(?:${receivers})\\(`,
      'g',
    ),
    /(?<!typeof [\w.?]*)\b(?:message|shortMessage|originalMessage)\s*[!=]==?\s*['"`](?!['"`])/g,
    /\bswitch \((?:[\w.?]+\.)?(?:message|shortMessage|originalMessage)\)/g,
    /\.(?:test|exec)\(\s*(?:wordsOf|sentenceOf|String)\((?:error|cause|failure|report)/g,
    new RegExp(`\\bremedy\\s*\\??\\.(?:replace|replaceAll|${receivers})\\(`, 'g'),
    /\b(?:wordsOf|sentenceOf|String)\((?:error|cause|failure|report)\)\s*\.(?:match|includes|startsWith|endsWith)\(/g,
  ];
  const found = patterns.flatMap((pattern) => [...text.matchAll(pattern)].map(({ index }) => lineOf(text, index)));
  const lines = text.split('\n');
  return [...new Set(found)]
    .sort((a, b) => a - b)
    .map((line) => ({ file, line, code: (lines[line - 1] ?? '').trim() }));
}

/** The number of the line with this character, from 1. */
function lineOf(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}
