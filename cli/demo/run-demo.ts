import { join } from 'node:path';
import type { ImageReference } from '../../domain/image.ts';
import { findStateDirectory } from '../../workers/configuration.ts';
import { exitCodes } from '../exit-codes.ts';
import { abortOn } from '../interrupts.ts';
import type { Output } from '../output.ts';
import { prepareDemoFolder } from './demo-folder.ts';
import { newDemoGuest } from './demo-guest.ts';
import {
  checkReport,
  createGuest,
  lookOn,
  type MadeInstance,
  makeImage,
  offerImage,
  runUp,
  type Stage,
} from './demo-steps.ts';
import { keptText, reportText } from './demo-text.ts';
import { imageUrl } from './glance-image.ts';
import { everbootCommand } from './own-commands.ts';
import type { RunningUp } from './start-up.ts';

export interface DemoOptions {
  /** True: what was started is left running. */
  readonly keep: boolean;
  readonly output: Output;
}

/**
 * Makes a small guest, boots it by the real commands of everboot on a Temporal of its own, shows what the guest said on
 * its console, and cleans up. Throws when the guest did not say all that was expected; sets the process's exit code
 * where a command has already reported why it failed, and after a Ctrl-C.
 */
export async function runDemo({ keep, output }: DemoOptions): Promise<void> {
  const signal = abortOn('SIGINT', 'SIGTERM');
  const stateDirectory = await findStateDirectory(process.env);
  const folder = await prepareDemoFolder(stateDirectory, process.env);
  const stage: Stage = { folder, keep, output, signal, undos: [] };
  let sayHowToContinue: (() => void) | undefined;
  let document: unknown;
  try {
    const image = await makeImage(stage, join(stateDirectory, 'guest', 'root'));
    const up = await runUp(stage);
    const guest = newDemoGuest();
    const reference = await offerImage(stage, image);
    const made = await createGuest(stage, guest, guest.spec(up.host, reference));
    if (made === null) return;
    if (keep) sayHowToContinue = () => printNextCommands(stage, { ...made, up, reference });
    const report = await lookOn(stage, made);
    checkReport(report, guest);
    const kept = { configurationFile: folder.configurationFile, stateDirectory: folder.path, upProcess: up.pid };
    document = { ...made, temporal: up.temporal, ui: up.ui, guest: report, kept: keep ? kept : null };
    if (!output.json) output.result(document, reportText(report));
    if (up.ui !== null) output.note(`History in Temporal's UI: ${up.ui}`);
  } catch (error) {
    if (!signal.aborted) throw error;
    // Whoever pressed Ctrl-C wants it gone.
    sayHowToContinue = undefined;
    output.note('\ninterrupted; cleaning up');
    process.exitCode = exitCodes.interrupted;
  } finally {
    if (sayHowToContinue === undefined) await cleanUp(stage);
    else sayHowToContinue();
  }
  if (output.json && document !== undefined) output.result(document, '');
}

/** Takes everything back, last first. What cannot be taken back is said, and keeps nothing else from being. */
async function cleanUp({ undos, output }: Stage): Promise<void> {
  for (const undo of undos.toReversed()) {
    try {
      await undo();
    } catch (error) {
      output.note(`cleaning up failed: ${error instanceof Error ? error.message : String(error)}`);
      process.exitCode ??= exitCodes.failed;
    }
  }
}

function printNextCommands(
  { folder, output }: Pick<Stage, 'folder' | 'output'>,
  made: MadeInstance & { readonly up: RunningUp; readonly reference: ImageReference },
): void {
  const { instanceId, directory, up, reference } = made;
  const glanceImage = 'glance' in reference ? imageUrl(process.env.GLANCE_URL ?? '', reference.glance) : null;
  const text = keptText({
    folder,
    instanceId,
    glanceImage,
    command: everbootCommand(),
    consoleLog: join(directory, 'console.log'),
    stopCommand: `kill ${up.pid}`,
  });
  output.note(`\n${text}`);
}
