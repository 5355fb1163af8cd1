import { z } from 'zod';

/**
 * Building blocks of the schemas of specs and configurations. Each is given the words that say what is expected, and
 * says them whatever is wrong with a value: "expected a whole number from 1 to 64".
 */

/**
 * Control characters, halves of characters, and what XML cannot hold: in a name or a command line they are a mistake.
 */
const unwritable = '\\p{Cc}\\p{Cs}\\uFFFE\\uFFFF';
const writable = new RegExp(`^[^${unwritable}]*$`, 'u');

interface TextLimits {
  readonly minLength?: number;
  readonly maxLength: number;
  /** Absent: everything but control characters. */
  readonly pattern?: RegExp;
}

/** A text of one line, such as a name. */
export function text(expected: string, { minLength = 0, maxLength, pattern = writable }: TextLimits) {
  const matching = z.string(expected).max(maxLength, expected).regex(pattern, expected);
  return minLength > 0 ? matching.min(minLength, expected) : matching;
}

/** A whole number between two others, or one of them. */
export function wholeNumber(from: number, to: number) {
  const expected = `a whole number from ${from} to ${to}`;
  return z.int(expected).min(from, expected).max(to, expected);
}

/** `note` says more of what is not among the values. */
export function oneOf<const Value extends string>(values: readonly Value[], note = '') {
  return z.enum(values, `${values.length === 1 ? '' : 'one of '}${values.join(', ')}${note}`);
}

export function flag() {
  return z.boolean('true or false');
}

/** A list whose items are checked one by one. */
export function list<Item extends z.ZodType>(item: Item, maxCount: number, what: string) {
  const expected = `a list of at most ${maxCount} ${what}`;
  return z.array(item, expected).max(maxCount, expected);
}

/** A map from texts to values. */
export function map<Value extends z.ZodType>(
  key: z.ZodString,
  value: Value,
  { maxCount, what }: { readonly maxCount: number; readonly what: string },
) {
  const expected = `a map of at most ${maxCount} ${what}`;
  const isSmall = (entries: object): boolean => Object.keys(entries).length <= maxCount;
  return z.record(key, value, expected).refine(isSmall, expected);
}

/** An object with these keys and no others. */
export function record<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  const keys = Object.keys(shape);
  const known = `${keys.length === 1 ? '' : 'one of '}${keys.join(', ')}`;
  return z.strictObject(shape, {
    error: ({ code }) => (code === 'unrecognized_keys' ? known : `an object with keys of ${keys.join(', ')}`),
  });
}

/** An object that is handed on without being read. */
export function anyObject(maxBytes: number) {
  const expected = `an object of at most ${maxBytes} bytes as JSON`;
  return z.looseObject({}, 'an object').refine((value) => jsonBytes(value) <= maxBytes, expected);
}

/** The length of a value's JSON. Infinite for what is no JSON: an alias in YAML may contain itself. */
function jsonBytes(value: unknown): number {
  try {
    return new TextEncoder().encode(JSON.stringify(value)).length;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** The absolute path of a file or folder, without `.` and `..`. */
export function absolutePath(what: string, maxLength = 4096) {
  const pattern = new RegExp(`^(?:/(?!\\.{1,2}(?:/|$))[^/${unwritable}]+)+$`, 'u');
  return text(`the absolute path of ${what}, without "." and ".."`, { maxLength, pattern });
}

/** An address that a URL parser accepts. One with a name and a password in it is refused: specs are not secret. */
export function httpUrl(expected: string) {
  return text(expected, { maxLength: 2048, pattern: /^https?:\/\/[^\s\p{Cc}\p{Cs}]+$/u }).refine(isPlainUrl, expected);
}

export function isPlainUrl(address: string): boolean {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  return url !== undefined && url.username === '' && url.password === '';
}

/** A host by the name under which its worker asks for work. */
export const hostName = text('1 to 64 letters, digits, ".", "_" and "-"', {
  minLength: 1,
  maxLength: 64,
  pattern: /^[A-Za-z0-9._-]+$/,
});

export const flavorName = text('1 to 255 characters, no control characters', { minLength: 1, maxLength: 255 });

/** The numbers of a flavor. The limits are far beyond any host; they catch units that were mistaken. */
export const flavorNumbers = {
  vcpus: wholeNumber(1, 1024),
  memoryMb: wholeNumber(1, 2 ** 24),
  rootGb: wholeNumber(0, 2 ** 16),
  ephemeralGb: wholeNumber(0, 2 ** 16),
  swapMb: wholeNumber(0, 2 ** 20),
};
