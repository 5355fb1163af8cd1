import { EverbootFailure } from '../../domain/failures.ts';
import type { Flavor } from '../../domain/flavors.ts';
import { parseSpec, type SpecRules } from '../../domain/parse-spec.ts';
import type { InstanceSecrets, InstanceSpec } from '../../domain/spec.ts';
import { specDigest } from './spec-digest.ts';

/** A request whose every default is filled in, and whose flavor is known by its numbers. Only the host may be open. */
export interface ResolvedRequest {
  readonly spec: InstanceSpec;
  /** In plain: they are sealed before they leave the client. */
  readonly secrets: InstanceSecrets;
  readonly flavor: Flavor;
  readonly specDigest: string;
}

/** Reads a spec’s document, which has an id by now. Throws SpecInvalid, naming every mistake. */
export function resolveRequest(
  document: unknown,
  flavors: Readonly<Record<string, Flavor>>,
  rules: SpecRules = {},
): ResolvedRequest {
  const { spec, secrets } = parseSpec(document, rules);
  const flavor = resolveFlavor(spec.flavor, flavors);
  return { spec, secrets, flavor, specDigest: specDigest(spec, flavor, secrets) };
}

/** The numbers that a spec’s flavor stands for. Throws SpecInvalid for a name that is not configured. */
export function resolveFlavor(asked: InstanceSpec['flavor'], flavors: Readonly<Record<string, Flavor>>): Flavor {
  if (typeof asked !== 'string') return { name: 'inline', ...asked };
  const flavor = Object.hasOwn(flavors, asked) ? flavors[asked] : undefined;
  if (flavor !== undefined) return flavor;
  const known = Object.keys(flavors).sort().join(', ');
  throw new EverbootFailure('SpecInvalid', `there is no flavor "${asked}"`, {
    problems: [`flavor: "${asked}" is not configured; known are ${known}`],
  });
}
