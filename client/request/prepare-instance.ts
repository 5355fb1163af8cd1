import { builtInFlavors, type Flavor } from '../../domain/flavors.ts';
import type { SpecRules } from '../../domain/parse-spec.ts';
import { withInstanceId } from './instance-id.ts';
import { type ResolvedRequest, resolveRequest } from './resolve-request.ts';

/** A spec that was read, checked and given an id, and can be sent. */
export interface PreparedInstance extends ResolvedRequest {
  readonly instanceId: string;
}

export interface PrepareSettings extends SpecRules {
  /** Flavors that specs may name, by name; absent: the built-in ones. */
  readonly flavors?: Readonly<Record<string, Flavor>>;
}

/** The flavors of a client that has no others configured, by name. */
export const defaultFlavors: Readonly<Record<string, Flavor>> = Object.fromEntries(
  builtInFlavors.map((flavor) => [flavor.name, flavor]),
);

/**
 * Of each prepared instance, whether its id was made for it here and was sent nowhere yet: such an id is nobody else's,
 * so neither Temporal nor a host need be asked about it. A caller cannot say so, since a mistake would build a second
 * instance.
 */
const hasUnsentId = new WeakMap<object, boolean>();

/**
 * Reads a spec's document, as JSON or YAML give it, without any Temporal, so that its mistakes are found and its id is
 * known before anything is sent. Throws SpecInvalid, naming every mistake.
 */
export function prepareInstance(
  document: unknown,
  { flavors = defaultFlavors, ...rules }: PrepareSettings = {},
): PreparedInstance {
  const identified = withInstanceId(document);
  const { spec, ...rest } = resolveRequest(identified, flavors, rules);
  const prepared = Object.freeze({ instanceId: spec.id, spec: Object.freeze(spec), ...rest });
  hasUnsentId.set(prepared, identified !== document);
  return prepared;
}

/** The instance that a caller gave: a prepared one as it is, a document read. */
export function preparedFrom(given: unknown, settings: PrepareSettings): PreparedInstance {
  return isPrepared(given) ? given : prepareInstance(given, settings);
}

/**
 * Whether nobody can have the instance yet. True at most once, as what was sent may have arrived, whatever came back.
 */
export function takeUnsentId(prepared: PreparedInstance): boolean {
  const isUnsent = hasUnsentId.get(prepared) === true;
  hasUnsentId.set(prepared, false);
  return isUnsent;
}

function isPrepared(given: unknown): given is PreparedInstance {
  return typeof given === 'object' && given !== null && hasUnsentId.has(given);
}
