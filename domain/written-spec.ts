import type { InstanceSpec } from './spec.ts';

/**
 * A parsed spec as its author could have written it, so that something can be changed in it and the whole parsed again.
 * Its secrets are no part of it.
 */
export function writtenSpec({ volumes, ...others }: InstanceSpec): Record<string, unknown> {
  if (volumes === undefined) return others;
  return { ...others, volumes: volumes.map(({ source, ...asked }) => ({ ...source, ...asked })) };
}
