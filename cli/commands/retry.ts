import type { Command } from 'commander';
import { awaitInstance, detachedDocument, howToContinue } from '../await-instance.ts';
import { abortOn } from '../interrupts.ts';
import { outputOf } from '../output.ts';
import { readChanges } from '../read-changes.ts';
import { withClient } from '../with-client.ts';

interface RetryOptions {
  readonly set?: readonly string[];
  readonly file?: string;
  readonly detach?: boolean;
}

export function addRetryCommand(program: Command): void {
  program
    .command('retry <id>')
    .description('resume a parked boot, with its spec changed or not, and wait until it is ready')
    .option('--set <place=value>', 'a value of the spec to change, such as flavor.rootGb=20; may be repeated', collect)
    .option('-f, --file <changes>', 'fields that replace those of the spec, JSON or YAML; - is standard input')
    .option('--detach', 'return as soon as it is resumed')
    .action(async (id: string, options: RetryOptions, command: Command) => {
      const output = outputOf(command);
      const change = await readChanges(options);
      const signal = abortOn('SIGINT');
      const beganAt = Date.now();
      await withClient(async (client) => {
        const started = await client.retry(id, change);
        if (options.detach !== true) return await awaitInstance(client, output, started, { signal, beganAt });
        output.result(detachedDocument(started), `${started.name} continues on ${started.host}\n${howToContinue(id)}`);
      });
    });
}

function collect(one: string, others: readonly string[] = []): readonly string[] {
  return [...others, one];
}
