import type { Command } from 'commander';
import { instanceText } from '../instance-text.ts';
import { outputOf } from '../output.ts';
import { withClient } from '../with-client.ts';

export function addShowCommand(program: Command): void {
  program
    .command('show <id>')
    .description('show an instance, and the steps of its newest operation')
    .option('--host <name>', 'the host to ask, where Temporal has forgotten the instance')
    .action(async (id: string, { host }: { host?: string }, command: Command) => {
      const view = await withClient((client) => client.show(id, host === undefined ? {} : { host }));
      outputOf(command).result(view, instanceText(view));
    });
}
