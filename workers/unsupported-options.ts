import type { Configuration } from '../domain/configuration.ts';

/**
 * Options that ask for what is not built yet. They are refused, a line for each, since ignoring one would give an
 * operator something else than what was asked for.
 */
export function unsupportedOptions({ glance }: Configuration): readonly string[] {
  const schemes = glance.allowedDirectUrlSchemes.filter((scheme) => scheme !== 'file');
  if (schemes.length === 0) return [];
  return [`[glance] allowed_direct_url_schemes: ${schemes.join(', ')} is not supported yet, expected file`];
}
