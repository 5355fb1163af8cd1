import { type Command, Option } from 'commander';
import { type ImageFormat, imageFormats } from '../../domain/image.ts';
import { listingText, precacheText, scrubText, sweepText } from '../cache-text.ts';
import { exitCodes } from '../exit-codes.ts';
import { followHostWork } from '../follow-host-work.ts';
import { outputOf } from '../output.ts';
import { withClient } from '../with-client.ts';

interface OnHost {
  readonly host?: string;
}

export function addCacheCommand(program: Command): void {
  const cache = program.command('cache').description("inspect and maintain a host's image cache");
  const onHost = (command: Command): Command => command.option('--host <name>', 'the host, where several poll');

  onHost(cache.command('list').description('list the cached files with size, age and users')).action(
    async ({ host }: OnHost, command: Command) => {
      const listing = await withClient((client) => client.cache.list(hostOf(host)));
      outputOf(command).result(listing, listingText(listing));
    },
  );

  onHost(cache.command('sweep').description('remove unused images that are old or over max_bytes, and orphaned files'))
    .option('--dry-run', 'list removals, and remove nothing')
    .action(async ({ host, dryRun = false }: OnHost & { dryRun?: boolean }, command: Command) => {
      await followHostWork(command, sweepText, (client) => client.cache.sweep({ ...hostOf(host), dryRun }));
    });

  onHost(
    cache
      .command('scrub [name...]')
      .description('compare cached images with their hashes, and fetch damaged ones again'),
  )
    .option('--all', 'every image, due or not')
    .action(async (names: string[], { host, all = false }: OnHost & { all?: boolean }, command: Command) => {
      const named = names.length === 0 ? {} : { names };
      const options = { ...hostOf(host), ...named, force: all || names.length > 0 };
      const result = await followHostWork(command, scrubText, (client) => client.cache.scrub(options));
      if (result?.refetched.some(({ failure }) => failure !== null)) process.exitCode = exitCodes.failed;
    });

  for (const [verb, pinned] of [
    ['pin', true],
    ['unpin', false],
  ] as const) {
    const does = pinned ? 'keep a cached file from every sweep' : 'let sweeps remove a cached file again';
    onHost(cache.command(`${verb} <name>`).description(does)).action(
      async (name: string, { host }: OnHost, command: Command) => {
        const { changed } = await withClient((client) => client.cache.pin(name, { ...hostOf(host), pinned }));
        const text = `${name} ${changed ? 'is' : 'was already'} ${pinned ? 'pinned' : 'unpinned'}`;
        outputOf(command).result({ name, pinned, changed }, text);
      },
    );
  }
  addPrecacheCommand(onHost(cache.command('precache <image>')));
}

interface PrecacheOptions extends OnHost {
  readonly digest?: string;
  readonly format?: ImageFormat;
  readonly pin?: boolean;
  readonly every?: number;
}

function addPrecacheCommand(command: Command): void {
  command
    .description('fetch an image into the cache: a Glance id or URL; with --digest and --format any URL, or a file')
    .option('--digest <digest>', 'sha256:<hex> or sha512:<hex> of the image’s bytes')
    .addOption(new Option('--format <format>', 'the image’s format').choices(imageFormats))
    .option('--pin', 'keep it from every sweep, too')
    .option('--every <seconds>', 'repeat by a Temporal Schedule; 0 removes the schedule', Number)
    .action(async (image: string, { host, pin = false, every, ...named }: PrecacheOptions, ran: Command) => {
      const reference = imageReference(image, named);
      if (every !== undefined) {
        const options = { ...hostOf(host), pin, everySeconds: every };
        const made = await withClient((client) => client.cache.precacheEvery(reference, options));
        const text = every === 0 ? `${made.scheduleId} is removed` : `${made.scheduleId} runs every ${every} s`;
        outputOf(ran).result(made, text);
        return;
      }
      await followHostWork(ran, precacheText, (client) => client.cache.precache(reference, { ...hostOf(host), pin }));
    });
}

/** The image as a spec's reference; the spec's own check finds what is missing. */
function imageReference(image: string, { digest, format }: Pick<PrecacheOptions, 'digest' | 'format'>): unknown {
  if (digest === undefined && format === undefined) return { glance: image };
  return { [image.startsWith('/') ? 'file' : 'url']: image, digest, format };
}

function hostOf(host: string | undefined): OnHost {
  return host === undefined ? {} : { host };
}
