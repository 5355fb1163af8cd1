import type { GlanceSettings } from '../../domain/configuration.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { GlanceCredentials, GlanceLogin } from '../../domain/glance-credentials.ts';
import type { HttpAnswer } from '../http/http-request.ts';
import { passingFailure } from '../http/http-status.ts';
import { requestJson } from '../http/request-json.ts';

export interface Token {
  /** The value of X-Auth-Token. It stays in memory. */
  readonly text: string;
  /** When another one has to be got, as a time of this machine's clock; infinite where Keystone does not say. */
  readonly renewAtMs: number;
  /** The service catalog as Keystone gave it, unchecked. */
  readonly catalog: unknown;
}

/** As keystoneauth: a token that would end while a request is on its way is not used for it. */
const renewBeforeEndMs = 30_000;
const maxTokenLength = 16 * 1024;

/**
 * Asks Keystone for a token.
 *
 * Throws ImageForbidden when it refuses the credentials, SourceUnreachable when another attempt may help,
 * HostUnsuitable when what answers is no Keystone, and the signal's reason. No message holds anything secret.
 */
export async function authenticate(
  credentials: GlanceCredentials,
  glance: GlanceSettings,
  signal: AbortSignal,
): Promise<Token> {
  const { authUrl, caCertificates: ca } = credentials;
  const { answer, json } = await requestJson(
    {
      url: new URL(`${authUrl}/v3/auth/tokens`),
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ auth: authBody(credentials.login) }),
      ca,
    },
    glance,
    signal,
  );
  if (json === undefined) throw refusal(answer, credentials);
  const text = answer.headers['x-subject-token'];
  const { expires_at, issued_at, catalog } = (json.token ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof text !== 'string' || text.length > maxTokenLength) {
    throw new EverbootFailure('SourceUnreachable', `${answer.address} answered without a token`);
  }
  return { text, renewAtMs: Date.now() + lifetimeMs(issued_at, expires_at) - renewBeforeEndMs, catalog };
}

/** Keystone's two times are of one clock, so that it does not matter what ours shows. */
function lifetimeMs(issuedAt: unknown, expiresAt: unknown): number {
  const lifetime = Date.parse(String(expiresAt)) - Date.parse(String(issuedAt));
  return Number.isNaN(lifetime) ? Number.POSITIVE_INFINITY : lifetime;
}

function authBody(login: GlanceLogin): object {
  if (login.method === 'password') {
    const { user, password, project } = login;
    return { identity: { methods: ['password'], password: { user: { ...user, password } } }, scope: { project } };
  }
  const { credential, secret } = login;
  // Without a scope: the credential is of one project.
  return { identity: { methods: [login.method], [login.method]: { ...credential, secret } } };
}

/** Keystone's own words are left out: nobody knows what a server that was taken for it repeats. */
function refusal(answer: HttpAnswer, { cloud, authUrl }: GlanceCredentials): EverbootFailure {
  const { status, address } = answer;
  if (status === 401 || status === 403) {
    return new EverbootFailure(
      'ImageForbidden',
      `Keystone at ${authUrl} refused the credentials of the cloud "${cloud}" (${status})`,
      { remedy: `Check the credentials of "${cloud}": user, domain, project, and that none of them is disabled.` },
    );
  }
  return (
    passingFailure(answer) ??
    new EverbootFailure('HostUnsuitable', `${address} answered ${status}, which no Keystone with Identity v3 does`, {
      remedy: `Check auth_url of the cloud "${cloud}". A redirect is not followed: what is sent there is secret.`,
    })
  );
}
