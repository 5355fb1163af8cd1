/**
 * The address of a Glance server in the one form in which two of them can be compared: without `/v2`, a slash at its
 * end, a query or a password. Null for what is no http or https address.
 */
export function serverAddress(text: string): string | null {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') return null;
  const path = url.pathname.replace(/\/+$/, '').replace(/\/v2(\.\d+)?$/, '');
  return `${url.origin}${path.replace(/\/+$/, '')}`;
}
