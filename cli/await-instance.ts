import type { EverbootClient } from '../client/connect-client.ts';
import type { StartedInstance } from '../client/operations/create-instance.ts';
import { exitCodes } from './exit-codes.ts';
import { resultText } from './instance-text.ts';
import type { Output } from './output.ts';
import { showProgress } from './watch-operation.ts';

/**
 * Looks on while an instance is created, and prints what was made. The boot is Temporal’s by now, so a Ctrl-C only ends
 * the looking on. Throws what the creation failed with or is parked with.
 */
export async function awaitInstance(
  client: EverbootClient,
  output: Output,
  started: StartedInstance,
  { signal, beganAt }: { readonly signal: AbortSignal; readonly beganAt: number },
): Promise<void> {
  const endProgress = showProgress(() => client.progress(started));
  try {
    const result = await client.wait(started, { signal });
    await endProgress();
    if (!output.json) output.note(`done in ${((Date.now() - beganAt) / 1000).toFixed(2)} s\n`);
    output.result(result, resultText(result));
  } catch (error) {
    if (!signal.aborted) {
      await endProgress();
      throw error;
    }
    leaveRunning(output, started);
  }
}

function leaveRunning(output: Output, started: StartedInstance): void {
  const { instanceId, name } = started;
  output.note(`\nDetached. ${name} is still booting.\n${howToContinue(instanceId)}`);
  if (output.json) output.result(detachedDocument(started), '');
  process.exitCode = exitCodes.interrupted;
}

/** The document of a detached boot. */
export function detachedDocument({ instanceId, name, host, joined }: StartedInstance): object {
  return { instanceId, name, host, detached: true, joined };
}

export function howToContinue(instanceId: string): string {
  return `  watch it:   everboot watch ${instanceId}\n  cancel it:  everboot cancel ${instanceId}`;
}
