import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { EverbootClient } from '../../client/connect-client.ts';
import { exitCodes } from '../exit-codes.ts';
import { resultText } from '../instance-text.ts';
import { abortOn } from '../interrupts.ts';
import { outputOf } from '../output.ts';
import { showProgress } from '../watch-operation.ts';
import { withClient } from '../with-client.ts';

const lookEveryMs = 500;

export function addWatchCommand(program: Command): void {
  program
    .command('watch <id>')
    .description('follow a boot until the instance is ready')
    .action(async (id: string, _options: object, command: Command) => {
      const output = outputOf(command);
      const signal = abortOn('SIGINT');
      await withClient(async (client) => {
        // Asked before anything is shown, so that an unknown id is one failure and not an empty table.
        await client.progress(id);
        const endProgress = output.json ? printProgress(client, id) : showProgress(() => client.progress(id));
        try {
          const result = await client.wait(id, { signal });
          await endProgress();
          output.result({ event: 'ready', ...result }, resultText(result));
        } catch (error) {
          await endProgress();
          if (!signal.aborted) throw error;
          process.exitCode = exitCodes.interrupted;
        }
      });
    });
}

/** A JSON line for each time that something changed. */
function printProgress(client: EverbootClient, id: string): () => Promise<void> {
  const stopping = new AbortController();
  let before = '';
  const look = async (): Promise<void> => {
    const view = await client.progress(id).catch(() => null);
    const line = view === null ? before : JSON.stringify({ event: 'progress', instanceId: id, ...view });
    if (line !== before) process.stdout.write(`${line}\n`);
    before = line;
  };
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      await look();
      await sleep(lookEveryMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  })();
  return async () => {
    stopping.abort();
    await watching;
    await look();
  };
}
