import { CancellationScope } from '@temporalio/workflow';

/**
 * Runs steps side by side in one cancellation scope. When one fails, none starts any more, those that run are cancelled
 * and awaited, and then the first failure is thrown: nothing of them is still at work when an undo begins.
 */
export async function sideBySide<Made>(steps: readonly (() => Promise<Made>)[]): Promise<Made[]> {
  const scope = new CancellationScope();
  return await scope.run(async () => {
    let failure: { readonly error: unknown } | undefined;
    const outcomes = await Promise.allSettled(
      steps.map(async (step) => {
        try {
          return await step();
        } catch (error) {
          if (failure === undefined) {
            failure = { error };
            scope.cancel();
          }
          throw error;
        }
      }),
    );
    if (failure !== undefined) throw failure.error;
    return outcomes.map((outcome) => (outcome as PromiseFulfilledResult<Made>).value);
  });
}
