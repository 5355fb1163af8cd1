import { type Command, InvalidArgumentError } from 'commander';
import type { InstanceList, ListOptions } from '../../client/progress/list-instances.ts';
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
    .option('--parked', 'only parked ones, and why')
    .action(async (options: ListOptions, command: Command) => {
      const list = await withClient((client) => client.list(options));
      outputOf(command).result(list, options.parked === true ? parkedText(list) : listText(list));
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
  return tableText(['ID', 'NAME', 'HOST', 'PHASE', 'IMAGE', 'SINCE'], rows, more);
}

/** Those that wait for a person, the longest wait first. */
function parkedText({ instances, more }: InstanceList): string {
  if (instances.length === 0) return 'nothing waits for an operator';
  const since = ({ parked, startedAt }: InstanceList['instances'][number]): string => parked?.since ?? startedAt;
  const sorted = [...instances].sort((one, other) => (since(one) < since(other) ? -1 : 1));
  const rows = sorted.map(({ instanceId, name, host, parked }) => [
    ...[instanceId, name ?? '', host, parked?.code ?? 'no worker says why', parked?.step ?? ''],
    parked === undefined ? '' : `${timeText(parked.since)}${parked.until ? `, until ${timeText(parked.until)}` : ''}`,
  ]);
  return tableText(['ID', 'NAME', 'HOST', 'CODE', 'STEP', 'SINCE'], rows, more);
}

function tableText(head: string[], rows: string[][], more: boolean): string {
  return [...textTable([head, ...rows]), ...(more ? ['… there are more; see --limit'] : [])].join('\n');
}
