import { createReadStream } from 'node:fs';
import type { YAMLError } from 'yaml';
import { EverbootFailure } from '../domain/failures.ts';

/** A few anchors save repeating; thousands of references to each other are an attack. */
const maxAliases = 100;

/**
 * Reads a spec’s document, JSON or YAML, from a file or from standard input (`-`). Its text never shows up in an error,
 * as it may hold secrets. Throws UsageInvalid when it cannot be read, SpecInvalid when it is neither.
 */
export async function readSpecDocument(source: string): Promise<unknown> {
  return await parseDocument(await readText(source), source === '-' ? 'standard input' : source);
}

async function readText(source: string): Promise<string> {
  const { maxSpecBytes } = await import('../domain/parse-spec.ts');
  const stream = source === '-' ? process.stdin : createReadStream(source);
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const piece of stream) {
      sizeBytes += (piece as Buffer).length;
      if (sizeBytes > maxSpecBytes) break;
      pieces.push(piece as Buffer);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new EverbootFailure('UsageInvalid', `${source} cannot be read (${code})`, {
      remedy: 'Name a readable file, or - for standard input.',
    });
  }
  if (sizeBytes <= maxSpecBytes) return Buffer.concat(pieces).toString('utf8');
  throw new EverbootFailure('SpecInvalid', `the spec has more than ${maxSpecBytes / 1024} KiB`);
}

/** JSON is YAML, so there is one way to read both. */
export async function parseDocument(text: string, name: string): Promise<unknown> {
  const { parseDocument: parseYaml } = await import('yaml');
  let problems: readonly string[];
  try {
    const document = parseYaml(text, { prettyErrors: false, stringKeys: true });
    problems = document.errors.map((error) => placeOf(error, text));
    if (problems.length === 0) return document.toJS({ maxAliasCount: maxAliases });
  } catch {
    problems = ['too deeply nested, or too many aliases'];
  }
  throw new EverbootFailure('SpecInvalid', `${name} is neither JSON nor YAML`, { problems: problems.slice(0, 20) });
}

/** Where and what, in words that quote nothing of the text. */
function placeOf({ pos, code }: YAMLError, text: string): string {
  const before = text.slice(0, pos[0]);
  const line = before.split('\n').length;
  const column = before.length - before.lastIndexOf('\n');
  return `line ${line}, column ${column}: ${code.toLowerCase().replaceAll('_', ' ')}`;
}
