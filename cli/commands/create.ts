import type { Command } from 'commander';
import type { EverbootClient } from '../../client/connect-client.ts';
import { withInstanceId } from '../../client/instance-id.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { awaitInstance, detachedDocument, howToGoOn } from '../await-instance.ts';
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
    .option('--detach', 'return as soon as it is started')
    .option('--dry-run', 'check the spec, show it with every default filled in, and start nothing')
    .action(async (options: CreateOptions, command: Command) => {
      const output = outputOf(command);
      const given = await readSpecDocument(options.file);
      // With its id made here, what was started can be named even if no answer comes back.
      const document = withInstanceId(given);
      const settings = await loadSettings();
      if (options.dryRun === true) return await showRequest(output, settings, document);
      await checkSpec(document, settings);
      await withClient(
        (client) => create(client, output, document, { ...options, isNewId: document !== given }),
        settings,
      );
    });
}

/** A spec’s mistakes are told whether or not Temporal answers. */
async function checkSpec(document: unknown, { configuration }: Settings): Promise<void> {
  const { parseSpec } = await import('../../domain/parse-spec.ts');
  parseSpec(document, configuration.glance);
}

async function create(
  client: EverbootClient,
  output: Output,
  document: unknown,
  { host, detach, isNewId }: CreateOptions & { readonly isNewId: boolean },
): Promise<void> {
  const signal = abortOn('SIGINT');
  const beganAt = Date.now();
  const started = await client
    .createInstance(document, { isNewId, ...(host === undefined ? {} : { host }) })
    .catch((error: unknown) => throwAbout(document, error));
  const { instanceId, name, joined } = started;
  if (joined) output.note(`the same request is running already; waiting for it`);
  if (detach === true) {
    output.result(detachedDocument(started), `${name} is being created on ${started.host}\n${howToGoOn(instanceId)}`);
    return;
  }
  await awaitInstance(client, output, started, { signal, beganAt });
}

async function showRequest(output: Output, { configuration }: Settings, document: unknown): Promise<void> {
  const { resolveRequest } = await import('../../client/resolve-request.ts');
  const { spec, flavor, specDigest, secrets } = resolveRequest(document, configuration.flavors, configuration.glance);
  const request = { spec, flavor, specDigest, secrets: Object.keys(secrets) };
  output.result(request, JSON.stringify(request, null, 2));
}

function throwAbout(document: unknown, error: unknown): never {
  const { id } = document as { id?: unknown };
  if (error instanceof EverbootFailure && typeof id === 'string') throw Object.assign(error, { instanceId: id });
  throw error;
}
