import type { Command } from 'commander';
import type { DeleteInstanceResult } from '../../domain/operations.ts';
import { outputOf } from '../output.ts';
import { withClient } from '../with-client.ts';

export function addDeleteCommand(program: Command): void {
  program
    .command('delete <id>')
    .description('delete an instance, cancelling its creation first, and wait until nothing is left')
    .option('--host <name>', 'its host, where Temporal has forgotten the instance')
    .action(async (id: string, { host }: { host?: string }, command: Command) => {
      const output = outputOf(command);
      let cancelled = false;
      const result = await withClient((client) =>
        client.delete(id, {
          ...(host === undefined ? {} : { host }),
          onCreationCancelled: () => {
            cancelled = true;
          },
          onUnreachable: ({ message }) => output.note(`${message}; waiting for it to come back`),
        }),
      );
      output.result(result, deleteText(result, cancelled));
    });
}

function deleteText({ instanceId, existed, cleanupPendingOn }: DeleteInstanceResult, cancelled: boolean): string {
  if (!existed && cancelled) return `the creation of ${instanceId} was cancelled, and what it had made removed`;
  if (!existed) return `${instanceId} was not there; nothing to delete`;
  const left = cleanupPendingOn === undefined ? '' : `; when ${cleanupPendingOn} is back, it removes its orphans`;
  return `${instanceId} is deleted${left}`;
}
