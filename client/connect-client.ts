import { Client, Connection, type ConnectionOptions } from '@temporalio/client';
import { EverbootFailure } from '../domain/failures.ts';
import type { Flavor } from '../domain/flavors.ts';
import type { DeleteInstanceResult, InstanceResult } from '../domain/operations.ts';
import { pollingHosts } from './hosts/hosts.ts';
import { type CacheClient, cacheClient } from './maintenance/cache.ts';
import { type HostClient, hostClient } from './maintenance/host-maintenance.ts';
import { type AbandonOptions, type AbandonResult, abandonOperation } from './operations/abandon-operation.ts';
import { type CancelResult, cancelOperation } from './operations/cancel-operation.ts';
import { type CreateOptions, createInstance, type StartedInstance } from './operations/create-instance.ts';
import { type DeleteOptions, deleteInstance } from './operations/delete-instance.ts';
import { retryOperation } from './operations/retry-operation.ts';
import { waitForInstance } from './operations/wait-for-instance.ts';
import { type InstanceList, type ListOptions, listInstances } from './progress/list-instances.ts';
import { type OperationView, readProgress } from './progress/read-progress.ts';
import { type InstanceView, showInstance } from './progress/show-instance.ts';
import type { SpecChange } from './request/change-request.ts';
import { defaultFlavors } from './request/prepare-instance.ts';
import { callTimeoutMs } from './temporal/call-temporal.ts';
import type { ClientContext } from './temporal/client-context.ts';
import type { WaitOptions } from './temporal/outcome.ts';
import { isRefusedLoopback } from './temporal/refused-loopback.ts';

/** Where Temporal is, and how to get in. */
export interface TemporalTarget {
  /** `host:port`. */
  readonly address: string;
  readonly namespace: string;
  readonly tls?: NonNullable<ConnectionOptions['tls']>;
  readonly apiKey?: string;
  readonly metadata?: NonNullable<ConnectionOptions['metadata']>;
}

export interface ClientSettings {
  /** The hosts’ public keys, which seal the secrets of specs; null or absent: a spec with secrets is refused. */
  readonly publicKeyFile?: string | null;
  /** Flavors that specs may name, by name; absent: the built-in ones. */
  readonly flavors?: Readonly<Record<string, Flavor>>;
  /**
   * For how long a host may be away until its operations say so, and boots with several `hosts` go to the next one; 300
   * 000 where it is absent.
   */
  readonly hostUnreachableAfterMs?: number;
  /** True: specs may name images without a digest, for hosts with `[glance] allow_unverified`. */
  readonly allowUnverified?: boolean;
}

/** Everything a control plane does with instances. Each method throws EverbootFailure, and nothing else on purpose. */
export interface EverbootClient {
  /**
   * Starts a creation, or joins the same one; see `createInstance`. It takes a spec's document, as JSON or YAML give
   * it, or what `prepareInstance` made of one.
   */
  createInstance(spec: unknown, options?: CreateOptions): Promise<StartedInstance>;
  /**
   * Waits until the instance is ready, and returns what was made. Throws what the creation failed with, and with
   * `parked: true` what it waits for an operator with; see `waitForInstance`.
   */
  wait(instance: string | StartedInstance, options?: WaitOptions): Promise<InstanceResult>;
  /** How far an operation is, the newest one where an id is given: step by step, with bytes where a step moves some. */
  progress(instance: string | StartedInstance): Promise<OperationView>;
  show(instanceId: string, options?: { readonly host?: string }): Promise<InstanceView>;
  list(options?: ListOptions): Promise<InstanceList>;
  /**
   * Continues with a creation that waits for an operator, perhaps with something changed in its spec; see
   * `retryOperation`. Throws InstanceBusy when it does not wait, OperationEnded, SpecInvalid.
   */
  retry(instanceId: string, change?: SpecChange): Promise<StartedInstance>;
  /**
   * Gives up what waits for an operator, or for a host that is gone, and waits until it has ended; see
   * `abandonOperation`. Throws InstanceBusy when it does not wait, OperationEnded.
   */
  abandon(instanceId: string, options?: AbandonOptions): Promise<AbandonResult>;
  /** Cancels what is being done, and waits until it is undone. */
  cancel(instanceId: string, options?: WaitOptions): Promise<CancelResult>;
  /** Deletes, and waits until nothing is left. */
  delete(instanceId: string, options?: DeleteOptions): Promise<DeleteInstanceResult>;
  /** The image caches of the hosts. */
  readonly cache: CacheClient;
  /** Operations on whole hosts. */
  readonly host: HostClient;
  /** The hosts whose workers poll. */
  hosts(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** Connects to the Temporal server. Throws TemporalUnreachable when none answers within ten seconds. */
export async function connectClient(target: TemporalTarget, settings: ClientSettings = {}): Promise<EverbootClient> {
  const { namespace, ...reach } = target;
  if (await isRefusedLoopback(target.address)) throw unreachable(target, 'nothing listens there');
  const connection = await Connection.connect({ ...reach, connectTimeout: callTimeoutMs }).catch((error: unknown) => {
    throw unreachable(target, error instanceof Error ? error.message : String(error));
  });
  const context: ClientContext = {
    client: new Client({ connection, namespace }),
    address: target.address,
    namespace,
    publicKeyFile: settings.publicKeyFile ?? null,
    hostUnreachableAfterMs: settings.hostUnreachableAfterMs ?? 300_000,
    specRules: { allowUnverified: settings.allowUnverified ?? false },
    flavors: settings.flavors ?? defaultFlavors,
  };
  return {
    createInstance: (spec, options) => createInstance(context, spec, options),
    wait: (instance, options) => waitForInstance(context, instance, options),
    progress: (instance) =>
      typeof instance === 'string'
        ? readProgress(context, instance)
        : readProgress(context, instance.instanceId, instance.runId),
    show: (instanceId, options) => showInstance(context, instanceId, options),
    list: (options) => listInstances(context, options),
    retry: (instanceId, change) => retryOperation(context, instanceId, change),
    abandon: (instanceId, options) => abandonOperation(context, instanceId, options),
    cancel: (instanceId, options) => cancelOperation(context, instanceId, options),
    delete: (instanceId, options) => deleteInstance(context, instanceId, options),
    cache: cacheClient(context),
    host: hostClient(context),
    hosts: () => pollingHosts(context),
    close: () => connection.close(),
  };
}

function unreachable({ address }: TemporalTarget, words: string): EverbootFailure {
  return new EverbootFailure('TemporalUnreachable', `no Temporal server answers at ${address}: ${words}`);
}
