import type { Command } from 'commander';
import type { EverbootClient } from '../../client/connect-client.ts';
import type { AbandonOptions, AbandonResult } from '../../client/operations/abandon-operation.ts';
import type { InstanceView } from '../../client/progress/show-instance.ts';
import { askYes } from '../ask-yes.ts';
import { exitCodes } from '../exit-codes.ts';
import { abortOn } from '../interrupts.ts';
import { type Output, outputOf } from '../output.ts';
import { showProgress } from '../watch-operation.ts';
import { withClient } from '../with-client.ts';

export function addAbandonCommand(program: Command): void {
  program
    .command('abandon <id>')
    .description('abandon a parked boot, and wait until everything it made is removed')
    .option(
      '--host-gone',
      'abandon any operation, a deletion too, because its host never comes back; see docs/operations.md',
    )
    .action(async (id: string, { hostGone = false }: { hostGone?: boolean }, command: Command) => {
      const output = outputOf(command);
      const { yes = false } = command.optsWithGlobals<{ yes?: boolean }>();
      await withClient(async (client) => {
        if (!hostGone || yes) return await abandon(client, output, id, { hostGone });
        const host = await confirmedHost(client, id);
        if (host !== null) return await abandon(client, output, id, { hostGone, host });
        output.note('nothing was changed');
        if (output.json) output.result({ instanceId: id, abandoned: false }, '');
        process.exitCode = exitCodes.interrupted;
      });
    });
}

/** The host that somebody says is gone; null: they do not. */
async function confirmedHost(client: EverbootClient, id: string): Promise<string | null> {
  // What Temporal does not know cannot be abandoned, whatever a host may have of it.
  await client.progress(id);
  const view = await client.show(id);
  return (await askYes(hostGoneQuestion(view))) ? view.host : null;
}

function hostGoneQuestion({ instanceId, name, operation, host }: InstanceView): string {
  return (
    `--host-gone abandons the ${operation} of ${name === null ? instanceId : `${name} (${instanceId})`} on ${host}. It is for a ` +
    `host that never comes back, or must not: ${host} gets no more requests, and a guest that still runs there is not ` +
    'stopped.'
  );
}

/** Abandons it and shows the progress. A Ctrl-C ends the watching, and not the abandoning. */
async function abandon(client: EverbootClient, output: Output, id: string, options: AbandonOptions): Promise<void> {
  const signal = abortOn('SIGINT');
  let endProgress: (() => Promise<void>) | undefined;
  const onAccepted = (): void => {
    endProgress = showProgress(() => client.progress(id));
  };
  const onUnreachable: AbandonOptions['onUnreachable'] = ({ message }) =>
    output.note(`${message}; waiting for it to come back`);
  try {
    const result = await client.abandon(id, { ...options, signal, onAccepted, onUnreachable });
    await endProgress?.();
    output.result(result, abandonText(result, options.hostGone === true));
  } catch (error) {
    await endProgress?.();
    if (!signal.aborted || endProgress === undefined) throw error;
    output.note(`\nAbandoned; cleanup continues in the background.\n  look at it:  everboot show ${id}`);
    if (output.json) output.result({ instanceId: id, detached: true }, '');
    process.exitCode = exitCodes.interrupted;
  }
}

function abandonText(result: AbandonResult, hostGone: boolean): string {
  const { instanceId, operation, host, phase, error, cleanupPendingOn } = result;
  if (phase === 'Ready') return `the ${operation} of ${instanceId} had succeeded before it could be abandoned`;
  const left =
    cleanupPendingOn === undefined
      ? `nothing is left of it${operation === 'create' ? ` on ${host}` : ''}`
      : `when ${cleanupPendingOn} is back, it removes its orphans`;
  const why = error === undefined || hostGone ? '' : `\nit had failed with ${error.code}: ${error.message}`;
  return `the ${operation} of ${instanceId} was abandoned; ${left}${why}`;
}
