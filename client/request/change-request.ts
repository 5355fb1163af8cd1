import { EverbootFailure } from '../../domain/failures.ts';
import type { RequestedInstance } from '../../domain/operations.ts';
import { parseSpec } from '../../domain/parse-spec.ts';
import { type SecretField, secretFields } from '../../domain/sealing.ts';
import type { InstanceSpec, SealedSecrets } from '../../domain/spec.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { resolveFlavor } from './resolve-request.ts';
import { sealSecrets } from './seal-secrets.ts';
import { canonicalJson, specDigest } from './spec-digest.ts';

/** The changes with which a parked creation continues. */
export interface SpecChange {
  /** A document like a spec: each of its keys replaces the spec’s. */
  readonly fields?: unknown;
  /** Single values by their places, such as `flavor.rootGb`. They come after the fields. */
  readonly values?: Readonly<Record<string, unknown>>;
}

/** By these an instance is known and found: another one of them would be another instance. */
const fixedFields = ['id', 'name', 'host', 'hosts'] as const;

/**
 * A request with something changed in it, the whole checked as a creation checks it. Secrets that are not changed stay
 * sealed as they are. Throws SpecInvalid, SecretKeyMissing.
 */
export async function changeRequest(
  context: Pick<ClientContext, 'flavors' | 'publicKeyFile' | 'specRules'>,
  request: RequestedInstance,
  change: SpecChange,
): Promise<RequestedInstance> {
  const { secrets: sealedBefore, ...before } = request.spec;
  const document = changedDocument(request, withTexts(request, change, context.specRules));
  refuseFixedFields(writtenSpec(before), document);
  const { spec, secrets: plain } = parseSpec(document, context.specRules);
  const isSameFlavor = canonicalJson(spec.flavor) === canonicalJson(before.flavor);
  const flavor = isSameFlavor ? request.flavor : resolveFlavor(spec.flavor, context.flavors);
  const kept = withoutFields(
    sealedBefore,
    secretFields.filter((field) => field in document),
  );
  const secrets = { ...kept, ...(await sealSecrets(plain, context.publicKeyFile, spec.id)) };
  return { spec: { ...spec, secrets }, flavor, specDigest: specDigest(spec, flavor, plain, kept) };
}

/**
 * The change with `7` and `true` as texts where the spec takes them only so: whoever writes single values on a command
 * line cannot say which is meant.
 */
function withTexts(request: RequestedInstance, change: SpecChange, rules: ClientContext['specRules']): SpecChange {
  const { values = {} } = change;
  let best = change;
  for (const [place, value] of Object.entries(values)) {
    if (typeof value !== 'number' && typeof value !== 'boolean') continue;
    const other = { ...best, values: { ...best.values, [place]: String(value) } };
    const mistakesIn = (tried: SpecChange): number => countMistakes(changedDocument(request, tried), rules);
    if (mistakesIn(other) < mistakesIn(best)) best = other;
  }
  return best;
}

function countMistakes(document: Fields, rules: ClientContext['specRules']): number {
  try {
    parseSpec(document, rules);
    return 0;
  } catch (error) {
    if (error instanceof EverbootFailure && error.code === 'SpecInvalid') return error.problems.length;
    throw error;
  }
}

type Fields = Readonly<Record<string, unknown>>;

function changedDocument({ spec, flavor }: RequestedInstance, { fields = {}, values = {} }: SpecChange): Fields {
  const { secrets: _sealed, ...open } = spec;
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
    throw new EverbootFailure('SpecInvalid', 'the changes are no map of fields of a spec');
  }
  let document: Fields = { ...writtenSpec(open), ...fields };
  for (const [place, value] of Object.entries(values)) {
    const keys = place.split('.');
    // A number of a flavor that was named is changed in the numbers that the name stands for.
    if (keys[0] === 'flavor' && keys.length > 1 && typeof document.flavor === 'string') {
      if (document.flavor !== spec.flavor) throw misplaced(place);
      const { name: _name, ...numbers } = flavor;
      document = { ...document, flavor: numbers };
    }
    document = withValue(document, keys, value, place) as Fields;
  }
  return document;
}

/** A copy of a value with another one at a place in it. */
function withValue(into: unknown, [key, ...rest]: readonly string[], value: unknown, place: string): unknown {
  if (key === undefined) return value;
  if (key === '') throw misplaced(place);
  if (Array.isArray(into)) {
    const index = Number(key);
    if (!Number.isInteger(index) || index < 0 || index >= into.length) throw misplaced(place);
    return into.with(index, withValue(into[index], rest, value, place));
  }
  if (into !== undefined && (typeof into !== 'object' || into === null)) throw misplaced(place);
  const fields = (into ?? {}) as Fields;
  const before = Object.hasOwn(fields, key) ? fields[key] : undefined;
  return { ...fields, [key]: withValue(before, rest, value, place) };
}

function misplaced(place: string): EverbootFailure {
  const problems = [`${place.slice(0, 80)}: no place in the spec`];
  return new EverbootFailure('SpecInvalid', 'the changes name a key that the spec does not have', { problems });
}

function refuseFixedFields(before: Fields, after: Fields): void {
  const problems = fixedFields
    .filter((field) => canonicalJson(before[field]) !== canonicalJson(after[field]))
    .map((field) => `${field}: a retry cannot change it`);
  if (problems.length === 0) return;
  throw new EverbootFailure('SpecInvalid', `the changes make another instance of it`, {
    problems,
    remedy: 'Leave these fields out; abandon the boot and start another one where the host or the name is wrong.',
  });
}

function withoutFields(secrets: SealedSecrets, without: readonly SecretField[]): SealedSecrets {
  return Object.fromEntries(Object.entries(secrets).filter(([field]) => !without.includes(field as SecretField)));
}

/**
 * A parsed spec as its author could have written it, so that something can be changed in it and the whole parsed again.
 * Its secrets are no part of it.
 */
function writtenSpec({ volumes, ...others }: InstanceSpec): Record<string, unknown> {
  if (volumes === undefined) return others;
  return { ...others, volumes: volumes.map(({ source, ...asked }) => ({ ...source, ...asked })) };
}
