import { CancellationScope } from '@temporalio/workflow';

/** Steps by the names of what they make. */
type NamedSteps<Made> = { readonly [Name in keyof Made]: () => Promise<Made[Name]> };

/**
 * Runs steps concurrently in one cancellation scope, and returns what each made under its name, in the same order. When
 * one fails, none starts any more, those that run are cancelled and awaited, and then the first failure is thrown:
 * nothing of them is still at work when an undo begins.
 */
export async function concurrently<Made extends object>(steps: NamedSteps<Made>): Promise<Made> {
  const scope = new CancellationScope();
  const named = Object.entries<() => Promise<unknown>>(steps);
  return await scope.run(async () => {
    let failure: { readonly error: unknown } | undefined;
    // In the order of the steps, whichever ends first.
    const made: Record<string, unknown> = Object.fromEntries(named.map(([name]) => [name, undefined]));
    await Promise.allSettled(
      named.map(async ([name, step]) => {
        try {
          made[name] = await step();
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
    return made as Made;
  });
}
