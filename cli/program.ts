import { Command } from 'commander';
import { addAbandonCommand } from './commands/abandon.ts';
import { addCacheCommand } from './commands/cache.ts';
import { addCancelCommand } from './commands/cancel.ts';
import { addCreateCommand } from './commands/create.ts';
import { addDeleteCommand } from './commands/delete.ts';
import { addDemoCommand } from './commands/demo.ts';
import { addHostCommand } from './commands/host.ts';
import { addImageCommand } from './commands/image.ts';
import { addKeygenCommand } from './commands/keygen.ts';
import { addListCommand } from './commands/list.ts';
import { addRetryCommand } from './commands/retry.ts';
import { addSchemaCommand } from './commands/schema.ts';
import { addShowCommand } from './commands/show.ts';
import { addTestCommand } from './commands/test.ts';
import { addUpCommand } from './commands/up.ts';
import { addWatchCommand } from './commands/watch.ts';
import { addWorkerCommand } from './commands/worker.ts';

const exitCodesHelp = `
Exit codes: 0 done, 1 failed, 2 usage, spec or configuration, 3 image refused,
4 parked, waits for an operator, 5 Temporal or host unreachable, 130 interrupted.

EVERBOOT_CONFIG names the configuration file, EVERBOOT_STATE_DIR the state folder.`;

/** All commands. Each loads what it needs when it runs, so that the light ones start at once. */
export function everbootProgram(): Command {
  const program = new Command('everboot')
    .description("Builds an instance's disks on its libvirt hypervisor and boots it, as one durable Temporal workflow.")
    .option('--json', 'exactly one JSON document on standard output (for up, worker and watch: one a line)')
    .option('--yes', 'ask no questions')
    .helpOption('--help', 'show what a command does')
    .addHelpText('after', exitCodesHelp)
    .configureHelp({ showGlobalOptions: true })
    // Failures are reported in one place, in one form.
    .configureOutput({ outputError: () => undefined })
    .exitOverride();
  addDemoCommand(program);
  addTestCommand(program);
  addUpCommand(program);
  addWorkerCommand(program);
  addCreateCommand(program);
  addShowCommand(program);
  addWatchCommand(program);
  addListCommand(program);
  addCancelCommand(program);
  addDeleteCommand(program);
  addRetryCommand(program);
  addAbandonCommand(program);
  addImageCommand(program);
  addCacheCommand(program);
  addHostCommand(program);
  addSchemaCommand(program);
  addKeygenCommand(program);
  return program;
}
