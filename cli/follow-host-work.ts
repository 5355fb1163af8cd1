import type { Command } from 'commander';
import type { EverbootClient } from '../client/connect-client.ts';
import type { HostRun } from '../client/maintenance/host-run.ts';
import { exitCodes } from './exit-codes.ts';
import { abortOn } from './interrupts.ts';
import { type Output, outputOf } from './output.ts';
import { showProgress } from './watch-operation.ts';
import { withClient } from './with-client.ts';

/** Waits for work on a host and shows its progress. A Ctrl-C ends the watching; undefined: that happened. */
export async function followHostWork<Result>(
  command: Command,
  textOf: (result: Result) => string,
  start: (client: EverbootClient) => Promise<HostRun<Result>>,
): Promise<Result | undefined> {
  const output = outputOf(command);
  const signal = abortOn('SIGINT');
  return await withClient(async (client) => {
    const run = await start(client);
    const endProgress = showProgress(() => run.progress());
    try {
      const result = await run.result({ signal });
      await endProgress();
      output.result(result, textOf(result));
      return result;
    } catch (error) {
      await endProgress();
      if (!signal.aborted) throw error;
      leaveRunning(output, run);
      return undefined;
    }
  });
}

function leaveRunning(output: Output, { host, workflowId }: HostRun<unknown>): void {
  output.note(`\nDetached. It continues on ${host}, as the workflow ${workflowId}.`);
  if (output.json) output.result({ host, workflowId, detached: true }, '');
  process.exitCode = exitCodes.interrupted;
}
