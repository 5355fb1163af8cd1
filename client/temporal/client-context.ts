import type { Client } from '@temporalio/client';
import type { Flavor } from '../../domain/flavors.ts';
import type { SpecRules } from '../../domain/parse-spec.ts';

/** The context that every operation of the client shares. */
export interface ClientContext {
  readonly client: Client;
  /** Of the Temporal server, for messages. */
  readonly address: string;
  readonly namespace: string;
  /** The hosts’ public keys; null: a spec with secrets is refused. */
  readonly publicKeyFile: string | null;
  /** By name, for specs that name their flavor. */
  readonly flavors: Readonly<Record<string, Flavor>>;
  /** For how long a host may be away until its operations say so, or go to the next host. */
  readonly hostUnreachableAfterMs: number;
  /** The defaults of specs. */
  readonly specRules: SpecRules;
}
