import type { z } from 'zod';
import { EverbootFailure } from './failures.ts';

type Path = readonly PropertyKey[];

/** The wording of errors in one kind of document. */
export interface ProblemStyle {
  /** Names a place in the document. */
  readonly place: (path: Path) => string;
  /** Whether nothing at this place may be quoted. */
  readonly isSecret: (path: Path) => boolean;
  /** Text after the line, such as where the value came from. */
  readonly note?: (path: Path) => string;
}

/** More mistakes than these are counted, not listed. */
const maxLines = 100;
const maxShownLength = 60;
/** How far into a text a password is looked for; what lies beyond is not shown. */
const maxRedactedLength = 4096;

/**
 * One line for each place of a document that is wrong: where, what is there, what was expected. Values are shortened,
 * and only single values are quoted: an object or a list may have something secret in it.
 */
export function problemLines(error: z.ZodError, document: unknown, style: ProblemStyle): readonly string[] {
  const lines = new Map<string, string>();
  const add = (path: Path, what: string, expected: string): void => {
    const place = style.place(path);
    if (!lines.has(place)) lines.set(place, `${place}: ${what}, expected ${expected}${style.note?.(path) ?? ''}`);
  };
  for (const issue of flatIssues(error.issues, document)) {
    const { path } = issue;
    if (issue.code === 'unrecognized_keys' && !style.isSecret(path)) {
      for (const key of issue.keys) add([...path, key], 'unknown', issue.message);
    } else if (issue.code === 'unrecognized_keys') {
      // A key that is unknown inside a secret may be part of what is secret.
      add(path, 'has an unknown key', issue.message);
    } else if (issue.code === 'invalid_key') {
      add(path, 'not allowed as a key', issue.issues[0]?.message ?? issue.message);
    } else {
      add(path, described(valueAt(document, path), style.isSecret(path), path.length === 0), issue.message);
    }
  }
  return [...lines.values()];
}

/** One failure for all mistakes in a document. */
export function mistakes(
  code: 'SpecInvalid' | 'ConfigInvalid',
  documentName: string,
  lines: readonly string[],
): EverbootFailure {
  const count = lines.length === 1 ? '1 mistake' : `${lines.length} mistakes`;
  const more = lines.length - maxLines;
  const problems = more > 0 ? [...lines.slice(0, maxLines), `and ${more} more`] : lines;
  return new EverbootFailure(code, `${documentName} has ${count}`, { problems });
}

/** A place as a JavaScript programmer writes it: `interfaces[0].mac`, `metadata["a b"]`. */
export function dottedPlace(path: Path): string {
  return path.reduce<string>((place, key) => {
    if (typeof key === 'number') return `${place}[${key}]`;
    const name = String(key);
    if (!/^[A-Za-z_][\w-]{0,59}$/.test(name)) return `${place}[${shown(name)}]`;
    return place === '' ? name : `${place}.${name}`;
  }, '');
}

/**
 * Issues without the noise of unions: where a value may be one of several things, those of the thing that it most
 * resembles; where it resembles none, what the union as a whole says.
 */
function flatIssues(issues: readonly z.core.$ZodIssue[], document: unknown): readonly z.core.$ZodIssue[] {
  return issues.flatMap((issue) => {
    if (issue.code !== 'invalid_union') return [issue];
    const branch = likeliestBranch(issue.errors, valueAt(document, issue.path));
    if (branch === undefined) return [issue];
    const placed = branch.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }));
    return flatIssues(placed, document);
  });
}

type Branch = readonly z.core.$ZodIssue[];

function likeliestBranch(branches: readonly Branch[], value: unknown): Branch | undefined {
  const isOfKind = (branch: Branch) => !branch.some(({ code, path }) => code === 'invalid_type' && path.length === 0);
  const unknownKeys = (branch: Branch) =>
    branch.reduce((sum, issue) => sum + (issue.code === 'unrecognized_keys' ? issue.keys.length : 0), 0);
  const isObject = typeof value === 'object' && value !== null;
  const candidates = branches.filter(isOfKind).filter((branch) => {
    return !isObject || unknownKeys(branch) < Object.keys(value).length;
  });
  return candidates.sort((one, other) => unknownKeys(one) - unknownKeys(other) || one.length - other.length)[0];
}

function valueAt(document: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, key) => {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    return (value as Record<PropertyKey, unknown>)[key];
  }, document);
}

function described(value: unknown, isSecret: boolean, isWhole: boolean): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  if (isWhole) return `a ${typeof value}`;
  return isSecret ? 'a secret value' : shown(value);
}

/** A single value in JSON, shortened, without the password of an address and without a private key. */
function shown(value: unknown): string {
  if (typeof value !== 'string') return String(value);
  if (value.includes('PRIVATE KEY')) return 'a private key';
  const open = value.slice(0, maxRedactedLength).replace(/:\/\/\S*@/, '://…@');
  return JSON.stringify(open.length <= maxShownLength ? open : `${open.slice(0, maxShownLength)}…`);
}
