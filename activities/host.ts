import type { Configuration } from '../domain/configuration.ts';
import type { HostPaths } from '../domain/host-paths.ts';

/** The machine that a worker's steps act on, with its settings read once. */
export interface Host {
  readonly configuration: Configuration;
  readonly paths: HostPaths;
  /** Where keys and what was found out about the machine are kept. */
  readonly stateDirectory: string;
}
