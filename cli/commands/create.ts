import type { Command } from 'commander';
import type { EverbootClient } from '../../client/connect-client.ts';
import type { PreparedInstance } from '../../client/request/prepare-instance.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { awaitInstance, detachedDocument, howToContinue } from '../await-instance.ts';
import { abortOn } from '../interrupts.ts';
import { type Output, outputOf } from '../output.ts';
import { readSpecDocument } from '../read-spec.ts';
import { loadSettings, type Settings } from '../settings.ts';
import { withClient } from '../with-client.ts';

interface CreateOptions {
  readonly file: string;
  readonly host?: string;
  readonly detach?: boolean;
  readonly dryRun?: boolean;
}

export function addCreateCommand(program: Command): void {
  program
    .command('create')
    .description('build and boot an instance, and wait until it is ready')
    .requiredOption('-f, --file <spec>', 'the spec, JSON or YAML; - is standard input')
    .option('--host <name>', 'the host, where the spec names none')
    .option('--detach', 'return as soon as it has started')
    .option('--dry-run', 'check the spec, show it with every default filled in, and start nothing')
    .action(async (options: CreateOptions, command: Command) => {
      const output = outputOf(command);
      const document = await readSpecDocument(options.file);
      const settings = await loadSettings();
      // Its mistakes are reported and its id is known whether or not Temporal answers.
      const prepared = await prepare(document, settings);
      if (options.dryRun === true) return showRequest(output, prepared);
      await withClient((client) => create(client, output, prepared, options), settings);
    });
}

async function prepare(document: unknown, { configuration }: Settings): Promise<PreparedInstance> {
  const { prepareInstance } = await import('../../client/request/prepare-instance.ts');
  const { flavors, glance } = configuration;
  return prepareInstance(document, { flavors, allowUnverified: glance.allowUnverified });
}

async function create(
  client: EverbootClient,
  output: Output,
  prepared: PreparedInstance,
  { host, detach }: CreateOptions,
): Promise<void> {
  const signal = abortOn('SIGINT');
  const beganAt = Date.now();
  const started = await client
    .createInstance(prepared, host === undefined ? {} : { host })
    .catch((error: unknown) => throwAbout(prepared, error));
  const { instanceId, name, joined } = started;
  if (joined) output.note(`the same request is running already; waiting for it`);
  if (detach === true) {
    output.result(
      detachedDocument(started),
      `${name} is being created on ${started.host}\n${howToContinue(instanceId)}`,
    );
    return;
  }
  await awaitInstance(client, output, started, { signal, beganAt });
}

function showRequest(output: Output, { spec, flavor, specDigest, secrets }: PreparedInstance): void {
  const request = { spec, flavor, specDigest, secrets: Object.keys(secrets) };
  output.result(request, JSON.stringify(request, null, 2));
}

function throwAbout({ instanceId }: PreparedInstance, error: unknown): never {
  if (error instanceof EverbootFailure) throw Object.assign(error, { instanceId });
  throw error;
}
