import type { SpecChange } from '../client/request/change-request.ts';
import { EverbootFailure } from '../domain/failures.ts';
import { secretFields } from '../domain/sealing.ts';
import { readSpecDocument } from './read-spec.ts';

/**
 * The changes for `retry`: the fields of a file (`-`: of standard input), then single values, `place=value` each.
 * Undefined: none. Throws UsageInvalid for what cannot be read or is no such pair, SpecInvalid for a file that is
 * neither JSON nor YAML.
 */
export async function readChanges(options: {
  readonly file?: string;
  readonly set?: readonly string[];
}): Promise<SpecChange | undefined> {
  const { file, set = [] } = options;
  if (file === undefined && set.length === 0) return undefined;
  const values = Object.fromEntries(set.map(readPair));
  if (file === undefined) return { values };
  return { fields: await readFields(file), values };
}

/** A changed retry makes everything again, which nobody wants who changes nothing. */
async function readFields(file: string): Promise<unknown> {
  const fields = await readSpecDocument(file);
  const isEmpty = fields === null || (typeof fields === 'object' && Object.keys(fields).length === 0);
  if (!isEmpty) return fields;
  const name = file === '-' ? 'standard input' : file;
  throw unusable(`${name} names no field to change`, 'Leave -f out where the boot is to continue as it is.');
}

function readPair(text: string): [place: string, value: unknown] {
  const [, place = '', written = ''] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (place === '') throw unusable('--set takes a place and a value', 'Write it as flavor.rootGb=20.');
  const field = place.split('.')[0];
  if (secretFields.some((secret) => secret === field)) {
    throw unusable(`${field} is secret, and others may read what a command is given`, 'Give it with -f, or with -f -.');
  }
  return [place, typedValue(written)];
}

/** Only what can be meant in no other way has a type; everything else is a text, as it stands there. */
function typedValue(written: string): unknown {
  if (written === 'true' || written === 'false') return written === 'true';
  const isWhole = /^(0|-?[1-9][0-9]*)$/.test(written) && Number.isSafeInteger(Number(written));
  return isWhole ? Number(written) : written;
}

function unusable(message: string, remedy: string): EverbootFailure {
  return new EverbootFailure('UsageInvalid', message, { remedy });
}
