import type { Command } from 'commander';
import type { CancelResult } from '../../client/operations/cancel-operation.ts';
import { outputOf } from '../output.ts';
import { withClient } from '../with-client.ts';

export function addCancelCommand(program: Command): void {
  program
    .command('cancel <id>')
    .description('cancel the running operation on an instance, and wait until it is undone')
    .action(async (id: string, _options: object, command: Command) => {
      const output = outputOf(command);
      const result = await withClient((client) =>
        client.cancel(id, { onUnreachable: ({ message }) => output.note(`${message}; waiting for it to come back`) }),
      );
      output.result(result, cancelText(result));
    });
}

function cancelText({ instanceId, operation, phase, cancelled }: CancelResult): string {
  if (cancelled) return `the ${operation} of ${instanceId} was cancelled, and what it had made removed`;
  return `nothing to cancel: the last operation on ${instanceId}, ${operation}, ended as ${phase}`;
}
