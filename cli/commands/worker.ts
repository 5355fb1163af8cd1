import type { Command } from 'commander';
import { findTemporal } from '../find-temporal.ts';
import { abortOn } from '../interrupts.ts';
import { outputOf } from '../output.ts';
import { loadSettings } from '../settings.ts';

export function addWorkerCommand(program: Command): void {
  program
    .command('worker')
    .description("run this host's worker in the foreground")
    .action(async (_options: object, command: Command) => {
      const output = outputOf(command);
      const settings = await loadSettings();
      const { foundBy: _anyWay, ...temporal } = await findTemporal(settings);
      const signal = abortOn('SIGINT', 'SIGTERM');
      const { runWorker } = await import('../../workers/run-worker.ts');
      await runWorker(settings.configuration, {
        stateDirectory: settings.stateDirectory,
        temporal,
        signal,
        onReady: (ready) =>
          output.result({ event: 'ready', ...ready }, `ready: ${ready.host} works for Temporal at ${ready.temporal}`),
      });
    });
}
