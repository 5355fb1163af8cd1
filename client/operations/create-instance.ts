import { randomUUID } from 'node:crypto';
import { EverbootFailure } from '../../domain/failures.ts';
import type { CreateInstanceInput, OperationMemo } from '../../domain/operations.ts';
import { hostThatRemembers } from '../hosts/host-that-remembers.ts';
import { elsewhereRemedy, findKeptHost } from '../hosts/kept-host.ts';
import { hostsToTry, wantedHosts } from '../hosts/wanted-hosts.ts';
import { preparedFrom, takeUnsentId } from '../request/prepare-instance.ts';
import type { ResolvedRequest } from '../request/resolve-request.ts';
import { sealSecrets } from '../request/seal-secrets.ts';
import { createDetails, createSummary, imageName } from '../request/ui-texts.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import { findRun, type OperationRun } from '../temporal/operation-run.ts';
import { startOperation } from './start-operation.ts';

/** An instance whose creation is under way. */
export interface StartedInstance {
  readonly instanceId: string;
  readonly name: string;
  readonly host: string;
  readonly runId: string;
  /** True: the same request was running already, and this is its run. */
  readonly joined: boolean;
  /** `hold`: it may wait for an operator instead of ending. */
  readonly onFailure: 'undo' | 'hold';
}

export interface CreateOptions {
  /** The host, where the spec names none. */
  readonly host?: string;
}

/** How often a start is tried when somebody else’s operation on the same id begins or ends in between. */
const maxAttempts = 5;

/**
 * Starts the creation of an instance, from a spec's document or from what `prepareInstance` made of one, and returns as
 * soon as Temporal has taken it. The same request again joins the one that is running; where the instance is ready, the
 * run that is started answers with it.
 *
 * Throws SpecInvalid, SecretKeyMissing, InstanceExists (the id is taken by another request), InstanceBusy (it is being
 * deleted), HostUnreachable (nobody polls, or none of the spec’s hosts does; or Temporal has forgotten the id, and one
 * of several hosts does not say whether it has the instance), NotManaged (one of them has a directory of that id which
 * everboot did not make), TemporalUnreachable.
 */
export async function createInstance(
  context: ClientContext,
  given: unknown,
  options: CreateOptions = {},
): Promise<StartedInstance> {
  const request = preparedFrom(given, { flavors: context.flavors, ...context.specRules });
  const wanted = wantedHosts(request.spec, options.host);
  const { id } = request.spec;
  let mayExist = !takeUnsentId(request);
  for (let attempt = 1; attempt <= maxAttempts; attempt += 1) {
    const last = mayExist ? await findRun(context, id) : null;
    if (last?.status === 'running') return join(last, request, wanted);
    const keptOn = mayExist ? await hostThatHas(context, last, request, wanted) : null;
    if (wanted !== null && keptOn !== null && !wanted.includes(keptOn)) {
      throw new EverbootFailure(
        'InstanceExists',
        `the instance ${id} exists on ${keptOn}, not on ${wanted.join(', ')}`,
        { remedy: `Use another id, or name ${keptOn}. ${elsewhereRemedy(id, keptOn)}` },
      );
    }
    const place = { hosts: await hostsToTry(context, { wanted, keptOn }), isPinned: keptOn !== null };
    const started = await startOn(context, request, place);
    if (started !== null) return started;
    mayExist = true;
  }
  throw new EverbootFailure('InstanceBusy', `other operations on ${id} kept starting while this one was to be started`);
}

/** Another operation on the same id is running: it is this very request, or in its way. */
function join(
  running: OperationRun,
  { spec, specDigest }: ResolvedRequest,
  wanted: readonly string[] | null,
): StartedInstance {
  const { memo, instanceId, runId } = running;
  if (memo.operation !== 'create') {
    throw new EverbootFailure('InstanceBusy', `the instance ${instanceId} is being deleted`);
  }
  if (memo.specDigest !== specDigest || (wanted !== null && !wanted.includes(memo.host))) {
    throw new EverbootFailure(
      'InstanceExists',
      `the instance ${instanceId} ("${memo.name ?? ''}") is being created on ${memo.host} from another spec`,
    );
  }
  return { instanceId, name: spec.name, host: memo.host, runId, joined: true, onFailure: memo.onFailure ?? 'undo' };
}

/** The host that has the instance by the last operation on it, or, where Temporal knows of none, by its own record. */
async function hostThatHas(
  context: ClientContext,
  last: OperationRun | null,
  request: ResolvedRequest,
  wanted: readonly string[] | null,
): Promise<string | null> {
  if (last !== null) return await hostThatKeeps(context, last, request);
  return await hostThatRemembers(context, request.spec.id, wanted);
}

/**
 * The host that keeps the instance, by what the last operation on it says. Throws InstanceExists where that made it
 * from another spec.
 */
async function hostThatKeeps(
  context: ClientContext,
  last: OperationRun,
  { specDigest }: ResolvedRequest,
): Promise<string | null> {
  const { memo, status, instanceId } = last;
  if (memo.operation === 'create' && status === 'completed' && memo.specDigest !== specDigest) {
    throw new EverbootFailure(
      'InstanceExists',
      `the instance ${instanceId} ("${memo.name ?? ''}") exists on ${memo.host}, made from another spec`,
    );
  }
  return await findKeptHost(context, last);
}

interface Place {
  readonly hosts: readonly [string, ...string[]];
  /** True: the host keeps the instance already, or may. */
  readonly isPinned: boolean;
}

async function startOn(
  context: ClientContext,
  request: ResolvedRequest,
  { hosts, isPinned }: Place,
): Promise<StartedInstance | null> {
  const { spec, flavor, specDigest } = request;
  const { id: instanceId, name, onFailure } = spec;
  const [host] = hosts;
  const operationId = randomUUID();
  const secrets = await sealSecrets(request.secrets, context.publicKeyFile, instanceId);
  const input: CreateInstanceInput = {
    operationId,
    host,
    spec: { ...spec, secrets },
    flavor,
    specDigest,
    ...(hosts.length === 1 ? {} : { hosts }),
    hostUnreachableAfterMs: context.hostUnreachableAfterMs,
  };
  const memo: OperationMemo = {
    operation: 'create',
    operationId,
    firstOperationId: operationId,
    specDigest,
    host,
    name,
    ...(onFailure === 'hold' ? { onFailure } : {}),
    ...(isPinned ? { pinned: true } : {}),
  };
  const runId = await startOperation(context, {
    instanceId,
    workflowType: 'createInstance',
    input,
    memo,
    phase: 'Building',
    ...(spec.image === undefined ? {} : { image: imageName(spec.image) }),
    summary: createSummary(request, host),
    details: createDetails(request),
  });
  return runId === null ? null : { instanceId, name, host, runId, joined: false, onFailure };
}
