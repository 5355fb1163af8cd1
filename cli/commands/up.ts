import { type Command, InvalidArgumentError } from 'commander';
import { EverbootFailure } from '../../domain/failures.ts';
import { type FoundTemporal, findTemporal, runningUp } from '../find-temporal.ts';
import { abortOn } from '../interrupts.ts';
import { outputOf } from '../output.ts';
import { loadSettings, type Settings } from '../settings.ts';

const defaultPort = 7233;

/** Temporal’s own UI listens this far above its server. */
const uiPortOffset = 1000;

interface UpOptions {
  readonly port?: number;
  readonly uiPort?: number;
}

export function addUpCommand(program: Command): void {
  program
    .command('up')
    .description("run this host's worker in the foreground, and Temporal if none answers")
    .option('--port <number>', 'the port of a Temporal server on this machine', readPort)
    .option('--ui-port <number>', 'the port of its web UI', readPort)
    .action(async (options: UpOptions, command: Command) => {
      const output = outputOf(command);
      const settings = await loadSettings();
      await refuseSecond(settings);
      const { foundBy: _anyWay, ...temporal } = atPort(await findTemporal(settings), options.port);
      const port = Number(/:(\d+)$/.exec(temporal.address)?.[1] ?? defaultPort);
      const signal = abortOn('SIGINT', 'SIGTERM');
      const { runUp } = await import('../../workers/run-up.ts');
      await runUp(settings.configuration, {
        stateDirectory: settings.stateDirectory,
        temporal,
        port,
        uiPort: options.uiPort ?? port + uiPortOffset,
        searchPath: process.env.PATH ?? '',
        signal,
        onReady: (ready) => {
          const ui = ready.ui === null ? '' : `, UI at ${ready.ui}`;
          output.result(
            { event: 'ready', ...ready },
            `ready: ${ready.host} works for Temporal at ${ready.temporal}${ui}`,
          );
        },
      });
    });
}

function atPort(found: FoundTemporal, port: number | undefined): FoundTemporal {
  return port === undefined ? found : { ...found, address: `127.0.0.1:${port}` };
}

/** Two servers on one database would spoil it, and what one writes about itself the other would remove. */
async function refuseSecond({ stateDirectory }: Settings): Promise<void> {
  const up = await runningUp(stateDirectory);
  if (up === null) return;
  const { answers } = await import('../../workers/temporal-server.ts');
  if (!(await answers(up.temporal, up.namespace))) return;
  throw new EverbootFailure('UsageInvalid', `process ${up.pid} runs \`everboot up\` with ${stateDirectory} already`, {
    remedy: 'Use that one, or set EVERBOOT_STATE_DIR to another folder.',
  });
}

function readPort(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw new InvalidArgumentError('a port from 1 to 65535 was expected.');
}
