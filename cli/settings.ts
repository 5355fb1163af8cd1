import type { Configuration } from '../domain/configuration.ts';

/** This machine's settings, read before a command does anything. */
export interface Settings {
  readonly configuration: Configuration;
  readonly stateDirectory: string;
  readonly environment: NodeJS.ProcessEnv;
}

/** Reads the configuration file and the environment. Throws ConfigInvalid, naming every mistake. */
export async function loadSettings(environment: NodeJS.ProcessEnv = process.env): Promise<Settings> {
  // Reading a configuration takes its schema, which commands that need none should not wait for.
  const { configurationFile, findStateDirectory, readConfiguration } = await import('../workers/configuration.ts');
  const stateDirectory = await findStateDirectory(environment);
  const file = await configurationFile(environment);
  return { configuration: await readConfiguration({ file, environment, stateDirectory }), stateDirectory, environment };
}
