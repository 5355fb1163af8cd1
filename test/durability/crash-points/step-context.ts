import { AsyncLocalStorage, createHook } from 'node:async_hooks';
import { asyncLocalStorage, Context } from '@temporalio/activity';
import { clientOfRunningOperation, type Describe } from '../../fixtures/running-operation-client.ts';

/**
 * Runs a step as an activity without any server: its heartbeat is heard by nobody, nothing cancels it, and Temporal
 * says of its run what is given, or that it is open.
 */
export async function asActivity<Made>(step: () => Promise<Made>, describe?: Describe): Promise<Made> {
  const never = new Promise<never>(() => undefined);
  const { signal } = new AbortController();
  const nothing = {} as never;
  const info = { workflowExecution: { workflowId: 'instance/test', runId: 'test' } } as never;
  const client = clientOfRunningOperation(describe);
  const context = new Context(info, never, signal, () => undefined, client, nothing, nothing, {});
  return await asyncLocalStorage.run(context, step);
}

const ownTimers = new AsyncLocalStorage<NodeJS.Timeout[]>();

/** Runs something as if its process ended with it: of the timers that it has started none fires later. */
export async function asProcess<Made>(work: () => Promise<Made>): Promise<Made> {
  const timers: NodeJS.Timeout[] = [];
  const hook = createHook({
    init(_id, type, _trigger, resource) {
      if (type === 'Timeout' && ownTimers.getStore() === timers) timers.push(resource as NodeJS.Timeout);
    },
  });
  hook.enable();
  try {
    return await ownTimers.run(timers, work);
  } finally {
    hook.disable();
    for (const timer of timers) clearTimeout(timer);
  }
}
