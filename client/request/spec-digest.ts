import { createHash } from 'node:crypto';
import type { Flavor } from '../../domain/flavors.ts';
import type { InstanceSecrets, InstanceSpec, SealedSecrets } from '../../domain/spec.ts';

/**
 * By what two requests for the same instance are compared: SHA-256, in hex, over everything in the spec that is not
 * secret, the flavor’s numbers, and which secret fields there are (of files: their paths and modes). The host takes no
 * part, since a request that leaves it open is the same request once it has been chosen.
 *
 * `sealed` are secrets that nobody here can open: of files, what they are sealed as has to do, so that a request which
 * was changed without them is the same as no request that is written again.
 */
export function specDigest(
  spec: InstanceSpec,
  flavor: Flavor,
  secrets: InstanceSecrets,
  sealed: SealedSecrets = {},
): string {
  const { host: _chosenElsewhere, hosts: _too, flavor: _resolved, launchIndex, ...others } = spec;
  const { name: _anyName, ...numbers } = flavor;
  // A default that earlier releases had no field for is left out, so that a request of theirs stays the same one.
  const asked = { ...others, ...(launchIndex !== 0 && { launchIndex }) };
  const compared = { spec: asked, flavor: numbers, secrets: { ...shapeOf(secrets), ...shapeOfSealed(sealed) } };
  return createHash('sha256').update(canonicalJson(compared)).digest('hex');
}

/** Which secrets there are, and nothing of what they say. */
function shapeOf({ userData, adminPassword, files, vendorData }: InstanceSecrets): object {
  return {
    userData: userData !== undefined,
    adminPassword: adminPassword !== undefined,
    files: (files ?? []).map(({ path, mode }) => ({ path, mode })),
    ...(vendorData !== undefined && { vendorData: true }),
  };
}

function shapeOfSealed({ userData, adminPassword, files, vendorData }: SealedSecrets): object {
  return {
    ...(userData !== undefined && { userData: true }),
    ...(adminPassword !== undefined && { adminPassword: true }),
    ...(files !== undefined && { files }),
    ...(vendorData !== undefined && { vendorData: true }),
  };
}

/**
 * JSON with every object’s keys in one order, so that equal values have equal texts. Absent and undefined are the same.
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null);
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  entries.sort(([left], [right]) => (left < right ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(',')}}`;
}
