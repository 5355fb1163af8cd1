import type { GlanceCredentials } from '../domain/glance-credentials.ts';
import { cloudCredentials } from './cloud-credentials.ts';
import { findCloud } from './cloud-files.ts';
import { fileOptions, variableOptions } from './cloud-options.ts';
import type { Environment } from './environment-options.ts';

/** openstacksdk's name for the cloud that the `OS_*` variables are. */
const variablesCloud = 'envvars';

/** Variables that show that somebody means to log in, and did not only name Keystone. */
const loginVariables = [
  'OS_USERNAME',
  'OS_USER_ID',
  'OS_PASSWORD',
  'OS_APPLICATION_CREDENTIAL_ID',
  'OS_APPLICATION_CREDENTIAL_NAME',
  'OS_APPLICATION_CREDENTIAL_SECRET',
];

/**
 * The credentials that a worker asks Glance with: those of the cloud that is configured, else of the cloud that
 * `OS_CLOUD` names, else the `OS_*` variables' own; null where there are none, and no token is sent.
 *
 * Throws ConfigInvalid when the cloud is missing, a file cannot be read, or credentials are incomplete, with a line for
 * each mistake and without anything secret.
 */
export async function readGlanceCredentials(
  cloud: string | null,
  environment: Environment,
  workingDirectory = process.cwd(),
): Promise<GlanceCredentials | null> {
  const search = { environment, workingDirectory };
  const name = cloud ?? (environment.OS_CLOUD || (logsIn(environment) ? variablesCloud : null));
  if (name === null) return null;
  if (name === variablesCloud) return await cloudCredentials(name, variableOptions(environment), search);
  const found = await findCloud(name, search);
  return await cloudCredentials(name, fileOptions(found.cloud, found.path, name), search);
}

function logsIn(environment: Environment): boolean {
  return Boolean(environment.OS_AUTH_URL) && loginVariables.some((variable) => Boolean(environment[variable]));
}
