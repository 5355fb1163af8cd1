import type { Command } from 'commander';
import { followHostWork } from '../follow-host-work.ts';
import { reconcileText } from '../reconcile-text.ts';

export function addHostCommand(program: Command): void {
  const host = program.command('host').description('reconcile a host');
  host
    .command('reconcile')
    .description('remove the orphans of failed operations, and report everything else without an owner')
    .option('--host <name>', 'the host, where several poll')
    .option('--dry-run', 'list removals, and remove nothing')
    .action(async (options: { host?: string; dryRun?: boolean }, command: Command) => {
      const { host: name, dryRun = false } = options;
      const order = { ...(name === undefined ? {} : { host: name }), dryRun };
      await followHostWork(command, reconcileText, (client) => client.host.reconcile(order));
    });
}
