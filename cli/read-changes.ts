import type { SpecChange } from '../client/change-request.ts';
import { EverbootFailure } from '../domain/failures.ts';
import { secretFields } from '../domain/sealing.ts';
import { readSpecDocument } from './read-spec.ts';

/**
 * What `retry` is to change: the fields of a file (`-`: of standard input), then single values, `place=value` each. Undefined:
 * nothing. Throws UsageInvalid for what cannot be read or is no such pair, SpecInvalid for a file that is neither JSON nor YAML.
 */
export async function readChanges(options: {
  readonly file?: string;
  readonly set?: readonly string[];
}): Promise<SpecChange | undefined> {
  const { file, set = [] } = options;
  if (file === undefined && set.length === 0) return undefined;
  const pairs = await Promise.all(set.map(readPair));
  return {
    ...(file === undefined ? {} : { fields: await readSpecDocument(file) }),
    values: Object.fromEntries(pairs),
  };
}

async function readPair(text: string): Promise<[place: string, value: unknown]> {
  const [, place = '', written = ''] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (place === '') throw unusable('--set takes a place and a value', 'Write it as flavor.rootGb=20.');
  const field = place.split('.')[0];
  if (secretFields.some((secret) => secret === field)) {
    throw unusable(`${field} is secret, and others may read what a command is given`, 'Give it with -f, or with -f -.');
  }
  const { parse } = await import('yaml');
  let value: unknown;
  try {
    value = written === '' ? '' : parse(written);
  } catch {
    value = null;
  }
  if (value === null || typeof value === 'object') {
    throw unusable(`the value of ${place.slice(0, 80)} is no text, number, true or false`, 'Give it with -f instead.');
  }
  return [place, value];
}

function unusable(message: string, remedy: string): EverbootFailure {
  return new EverbootFailure('UsageInvalid', message, { remedy });
}
