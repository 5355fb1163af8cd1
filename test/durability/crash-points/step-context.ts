import { asyncLocalStorage, Context } from '@temporalio/activity';
import { clientOfRunningOperation, type Describe } from '../../fixtures/running-operation-client.ts';

/**
 * Runs a step as an activity without any server: its heartbeat is heard by nobody, nothing cancels it, and Temporal says
 * of its run what is given, or that it is open.
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
