import { type Command, InvalidArgumentError } from 'commander';
import type { InstanceList } from '../../client/list-instances.ts';
import { outputOf } from '../output.ts';
import { textTable } from '../text-table.ts';
import { timeText } from '../units.ts';
import { withClient } from '../with-client.ts';

const maxLimit = 10_000;

export function addListCommand(program: Command): void {
  program
    .command('list')
    .description('list the instances that Temporal remembers, those with a running operation first')
    .option('--limit <number>', 'how many at most', readLimit, 100)
    .option('--host <name>', 'only those of this host')
    .option('--all', 'also those that were deleted')
    .action(async (options: { limit: number; host?: string; all?: boolean }, command: Command) => {
      const list = await withClient((client) => client.list(options));
      outputOf(command).result(list, listText(list));
    });
}

function readLimit(text: string): number {
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= maxLimit) return limit;
  throw new InvalidArgumentError(`a whole number from 1 to ${maxLimit} was expected.`);
}

function listText({ instances, more }: InstanceList): string {
  if (instances.length === 0) return 'no instances';
  const rows = instances.map(({ instanceId, name, host, phase, image, startedAt }) => [
    ...[instanceId, name ?? '', host, phase, image ?? '', timeText(startedAt)],
  ]);
  const lines = textTable([['ID', 'NAME', 'HOST', 'PHASE', 'IMAGE', 'SINCE'], ...rows]);
  return [...lines, ...(more ? ['… there are more; see --limit'] : [])].join('\n');
}
