import type { Command } from 'commander';
import { followHostWork } from '../follow-host-work.ts';
import { tendText } from '../tend-text.ts';

export function addHostCommand(program: Command): void {
  const host = program.command('host').description('take care of a host');
  host
    .command('tend')
    .description('remove what is left of operations that ended without success; report what else has no owner')
    .option('--host <name>', 'the host, where several poll')
    .option('--dry-run', 'only say what would be removed')
    .action(async (options: { host?: string; dryRun?: boolean }, command: Command) => {
      const { host: name, dryRun = false } = options;
      const order = { ...(name === undefined ? {} : { host: name }), dryRun };
      await followHostWork(command, tendText, (client) => client.host.tend(order));
    });
}
