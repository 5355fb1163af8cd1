import type { Command } from 'commander';
import { outputOf } from '../output.ts';
import { withClient } from '../with-client.ts';

export function addDeleteCommand(program: Command): void {
  program
    .command('delete <id>')
    .description('delete an instance and wait until nothing is left; one that is being created is cancelled first')
    .option('--host <name>', 'its host, where Temporal has forgotten the instance')
    .action(async (id: string, { host }: { host?: string }, command: Command) => {
      const output = outputOf(command);
      const result = await withClient((client) =>
        client.delete(id, {
          ...(host === undefined ? {} : { host }),
          onUnreachable: ({ message }) => output.note(`${message}; waiting for it to come back`),
        }),
      );
      output.result(result, result.existed ? `${id} is deleted` : `${id} was not there; nothing to delete`);
    });
}
