import { Runtime } from '@temporalio/worker';
import { temporalLogger } from './log.ts';

/** The SDK has one runtime a process; installing it twice is an error of its own. */
let installed = false;

/** Gives the SDK our log, and leaves signals to the command line: it decides whether one means a drain. */
export function installTemporalRuntime(): void {
  if (installed) return;
  installed = true;
  Runtime.install({
    logger: temporalLogger,
    shutdownSignals: [],
    telemetryOptions: { logging: { filter: 'WARN', forward: {} } },
  });
}
