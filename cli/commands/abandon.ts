import type { Command } from 'commander';
import type { AbandonResult } from '../../client/abandon-operation.ts';
import { askYes } from '../ask-yes.ts';
import { outputOf } from '../output.ts';
import { withClient } from '../with-client.ts';

export function addAbandonCommand(program: Command): void {
  program
    .command('abandon <id>')
    .description('give up a boot that waits for an operator, and wait until what it had made is removed')
    .option(
      '--host-gone',
      'give up whatever runs, a deletion too, since its host never comes back; see docs/operations.md',
    )
    .action(async (id: string, { hostGone = false }: { hostGone?: boolean }, command: Command) => {
      const output = outputOf(command);
      const { yes = false } = command.optsWithGlobals<{ yes?: boolean }>();
      if (hostGone && !yes) await askYes(hostGoneQuestion);
      const result = await withClient((client) =>
        client.abandon(id, {
          hostGone,
          onUnreachable: ({ message }) => output.note(`${message}; waiting for it to come back`),
        }),
      );
      output.result(result, abandonText(result, hostGone));
    });
}

const hostGoneQuestion =
  '--host-gone is for a host that never comes back, or must not: nothing more is asked of it, and a guest that may ' +
  'still run there is not stopped.';

function abandonText(result: AbandonResult, hostGone: boolean): string {
  const { instanceId, operation, host, phase, error, remainsOn } = result;
  if (phase === 'Ready') return `the ${operation} of ${instanceId} was done before it could be given up`;
  const left =
    remainsOn === undefined
      ? `nothing is left of it${operation === 'create' ? ` on ${host}` : ''}`
      : `should ${remainsOn} come back, it removes what it still has of it`;
  const why = error === undefined || hostGone ? '' : `\nit had failed with ${error.code}: ${error.message}`;
  return `the ${operation} of ${instanceId} was given up; ${left}${why}`;
}
