import { asyncLocalStorage, Context } from '@temporalio/activity';
import { clientOfRunningOperation } from '../../fixtures/running-operation-client.ts';

/** Runs a step as an activity without any server: with a heartbeat that nobody hears, and a signal that may abort it. */
export async function asActivity<Made>(
  step: () => Promise<Made>,
  signal: AbortSignal = new AbortController().signal,
): Promise<Made> {
  const never = new Promise<never>(() => undefined);
  const nothing = {} as never;
  const context = new Context(
    nothing,
    never,
    signal,
    () => undefined,
    clientOfRunningOperation(),
    nothing,
    nothing,
    {},
  );
  return await asyncLocalStorage.run(context, step);
}
