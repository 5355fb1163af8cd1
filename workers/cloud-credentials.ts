import type { GlanceCredentials, GlanceLogin, Named } from '../domain/glance-credentials.ts';
import { mistakes } from '../domain/problems.ts';
import type { CloudSearch } from './cloud-files.ts';
import type { CloudOptions } from './cloud-options.ts';
import { refuseUnsupported, trustedCertificates } from './cloud-trust.ts';

const applicationCredential = ['v3applicationcredential', 'v3_application_credential', 'application_credential'];
const password = ['password', 'v3password'];

/**
 * The credentials that a cloud's options are. Throws ConfigInvalid with a line for each that is missing or wrong, which
 * names the option and quotes nothing.
 */
export async function cloudCredentials(
  cloud: string,
  options: CloudOptions,
  search: CloudSearch,
): Promise<GlanceCredentials> {
  const authUrl = identityAddress(options);
  const login = loginOf(options);
  const caCertificates = await trustedCertificates(options, search);
  const [region] = listOf(options.value('regions'));
  const credentials = {
    cloud,
    regionName: options.text('region_name') ?? regionOf(region),
    interface: interfaceOf(options),
    imageEndpointOverride: imageEndpoint(options),
    caCertificates,
  };
  refuseUnsupported(options);
  if (authUrl !== null && login !== null && options.problems().length === 0) return { ...credentials, authUrl, login };
  throw mistakes('ConfigInvalid', `the cloud "${cloud}"`, options.problems());
}

/** Keystone's address without its version. */
function identityAddress(options: CloudOptions): string | null {
  const text = required(options, 'auth_url', 'the address of Keystone');
  if (text === null) return null;
  const address = httpAddress(text);
  if (address === null) options.wrong('auth_url', 'expected an http or https address without a name and a password');
  if (/\/v2\.0$/.test(address ?? '')) options.wrong('auth_url', 'Identity v2.0 is not supported, expected v3');
  return address?.replace(/\/v3$/, '').replace(/\/+$/, '') ?? null;
}

function imageEndpoint(options: CloudOptions): string | null {
  const text = options.text('image_endpoint_override');
  const address = text === null ? null : httpAddress(text);
  if (text !== null && address === null) {
    options.wrong('image_endpoint_override', 'expected an http or https address without a name and a password');
  }
  return address;
}

function httpAddress(text: string): string | null {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url?.search === '' && url.hash === '' && url.username === '' && url.password === '';
  if (url === undefined || !isPlain || !/^https?:$/.test(url.protocol)) return null;
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}

function loginOf(options: CloudOptions): GlanceLogin | null {
  const type = options.text('auth_type');
  const hasCredential = ['id', 'name'].some((key) => options.text(`application_credential_${key}`) !== null);
  if (type === null ? hasCredential && options.text('password') === null : applicationCredential.includes(type)) {
    return applicationCredentialLogin(options);
  }
  if (type === null || password.includes(type)) return passwordLogin(options);
  options.wrong('auth_type', 'not supported, expected password or v3applicationcredential');
  return null;
}

function passwordLogin(options: CloudOptions): GlanceLogin | null {
  const user = named(options, 'user', 'username', 'the user');
  const secret = required(options, 'password', 'the user’s password');
  const projectKey =
    options.text('project_name') === null && options.text('tenant_name') !== null ? 'tenant' : 'project';
  const project = named(options, 'project', `${projectKey}_name`, 'the project that may see the images');
  if (user === null || secret === null || project === null) return null;
  return { method: 'password', user, password: secret, project };
}

function applicationCredentialLogin(options: CloudOptions): GlanceLogin | null {
  const secret = required(options, 'application_credential_secret', 'its secret');
  const id = options.text('application_credential_id');
  const credential = id === null ? credentialOfUser(options) : { id };
  return secret === null || credential === null ? null : { method: 'application_credential', credential, secret };
}

function credentialOfUser(options: CloudOptions): { readonly name: string; readonly user: Named } | null {
  const name = required(options, 'application_credential_name', 'the application credential, by name or id');
  if (name === null) return null;
  const user = named(options, 'user', 'username', 'the user whose application credential it is');
  return user === null ? null : { name, user };
}

/** By id, or by a name together with its domain's id or name. */
function named(options: CloudOptions, kind: 'user' | 'project', nameOption: string, what: string): Named | null {
  const id = options.text(`${kind}_id`) ?? (kind === 'project' ? options.text('tenant_id') : null);
  if (id !== null) return { id };
  const name = required(options, nameOption, `${what}, by name or id`);
  const [domainId, domainName] = ['id', 'name'].map(
    (key) =>
      options.text(`${kind}_domain_${key}`) ?? options.text(`domain_${key}`) ?? options.text(`default_domain_${key}`),
  );
  if (name === null) return null;
  if (domainId) return { name, domain: { id: domainId } };
  if (domainName) return { name, domain: { name: domainName } };
  required(options, `${kind}_domain_name`, `the domain of ${what}, by name or id`);
  return null;
}

function required(options: CloudOptions, option: string, what: string): string | null {
  const text = options.text(option);
  const value = options.value(option);
  if (text === null && (value === undefined || value === null || value === '')) {
    options.wrong(option, `missing, expected ${what}`);
  }
  return text;
}

function interfaceOf(options: CloudOptions): GlanceCredentials['interface'] {
  const text = (options.text('interface') ?? options.text('endpoint_type') ?? 'public').replace(/URL$/, '');
  if (text === 'public' || text === 'internal' || text === 'admin') return text;
  options.wrong('interface', 'expected public, internal or admin');
  return 'public';
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** `regions` may hold names, or tables with a name. */
function regionOf(region: unknown): string | null {
  const name = typeof region === 'object' && region !== null && 'name' in region ? region.name : region;
  return typeof name === 'string' ? name : null;
}
