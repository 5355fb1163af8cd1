import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EverbootFailure } from '../../domain/failures.ts';
import type { ImageReference } from '../../domain/image.ts';
import { sizeText } from '../../domain/sizes.ts';
import { readDomainXml } from '../../hypervisor/libvirt/read-domain-xml.ts';
import { runningUp } from '../find-temporal.ts';
import type { Output } from '../output.ts';
import { durationText } from '../units.ts';
import { clearInstances, type DemoFolder } from './demo-folder.ts';
import type { DemoGuest } from './demo-guest.ts';
import { exportsText } from './demo-text.ts';
import { imageUrl, removeFromGlance, uploadToGlance } from './glance-image.ts';
import { type GuestImage, makeGuestImage } from './guest-image.ts';
import { type GuestReport, missingFrom } from './guest-report.ts';
import { everbootCommand, runOwn } from './own-commands.ts';
import { type RunningUp, startUp } from './start-up.ts';
import { waitForReport } from './wait-for-report.ts';

/** Deleting first cancels what still runs, and waits for its undo. */
const deleteTimeoutMs = 120_000;

/** The context that every step of the demo shares. */
export interface Stage {
  readonly folder: DemoFolder;
  readonly keep: boolean;
  readonly output: Output;
  readonly signal: AbortSignal;
  /** Undos, in the order of their steps. */
  readonly undos: (() => Promise<void>)[];
}

/** The guest's image, as an earlier run made it or made now. */
export async function makeImage({ folder, output, signal }: Stage, guestRoot: string): Promise<GuestImage> {
  const beganAt = Date.now();
  const image = await makeGuestImage(guestRoot, folder.images, signal);
  const origin = image.isNew ? `made in ${durationText(Date.now() - beganAt)}` : 'made by an earlier run';
  output.note(`guest image: ${image.path}, ${sizeText(image.sizeBytes)}, ${origin}`);
  return image;
}

/** An `up` that an earlier demo left running is used, and left running. */
export async function runUp({ folder, keep, output, signal, undos }: Stage): Promise<RunningUp> {
  output.note(`$ ${exportsText(folder)}`);
  const earlier = await runningUp(folder.path);
  if (earlier !== null) {
    output.note(`using the \`everboot up\` that runs already, process ${earlier.pid}`);
    return { ...earlier, stop: async () => undefined };
  }
  output.note(`$ ${everbootCommand()} up`);
  undos.push(() => clearInstances(folder));
  const up = await startUp(folder, { keep, signal });
  undos.push(async () => {
    output.note('stopping the worker and Temporal');
    await up.stop();
    output.note(`The history is kept: after the export above, ${everbootCommand()} up shows it again.`);
  });
  output.note(`ready: ${up.host} works for Temporal at ${up.temporal}${up.ui === null ? '' : `, UI at ${up.ui}`}`);
  return up;
}

/** The image as the spec names it: on the Glance of GLANCE_URL if there is one, else as a file. */
export async function offerImage({ output, signal, undos }: Stage, image: GuestImage): Promise<ImageReference> {
  const glanceUrl = process.env.GLANCE_URL;
  if (glanceUrl === undefined || glanceUrl === '') return { file: image.path, digest: image.digest, format: 'qcow2' };
  const id = randomUUID();
  undos.push(() => removeFromGlance(glanceUrl, id));
  await uploadToGlance(glanceUrl, id, { image, signal });
  output.note(`uploaded to Glance: ${imageUrl(glanceUrl, id)}`);
  return { glance: id };
}

export interface MadeInstance {
  readonly instanceId: string;
  readonly name: string;
  readonly host: string;
  readonly directory: string;
}

/** Creates the instance; null when it failed, which the command has reported already. */
export async function createGuest(
  { folder, output, signal, undos }: Stage,
  { instanceId }: DemoGuest,
  spec: Readonly<Record<string, unknown>>,
): Promise<MadeInstance | null> {
  const specFile = join(folder.path, 'spec.json');
  await writeFile(specFile, `${JSON.stringify(spec, null, 2)}\n`);
  output.note(`$ ${everbootCommand()} create -f ${specFile}`);
  undos.push(async () => {
    output.note(`$ ${everbootCommand()} delete ${instanceId}`);
    const { code } = await runOwn(['delete', instanceId], folder, AbortSignal.timeout(deleteTimeoutMs));
    if (code !== 0) process.exitCode ??= code;
  });
  const { code, document } = await runOwn(['create', '-f', specFile], folder, signal);
  if (code === 0) return document as unknown as MadeInstance;
  if (output.json && document !== null) output.result(document, '');
  process.exitCode = code;
  return null;
}

/** Waits for the guest's words, and says on a terminal for how long already. */
export async function lookOn({ folder, output, signal }: Stage, { directory }: MadeInstance): Promise<GuestReport> {
  const isEmulated = readDomainXml(await readFile(join(directory, 'libvirt.xml'), 'utf8')).type === 'qemu';
  const how = isEmulated ? 'its processor is emulated: about 15 s' : 'under KVM: a few seconds';
  output.note(`waiting for the guest to report on its console (${how})`);
  const { stderr } = process;
  const report = await waitForReport({
    consoleLog: join(directory, 'console.log'),
    keptConsole: join(folder.path, 'console-of-a-failed-guest.log'),
    signal,
    onWait: (waitedMs) => {
      if (stderr.isTTY) stderr.write(`\r  ${Math.floor(waitedMs / 1000)} s `);
    },
  });
  if (stderr.isTTY) stderr.write('\r\u001b[2K');
  return report;
}

/** A guest that sees something else than was asked for is everboot's own fault. */
export function checkReport(report: GuestReport, { expected }: DemoGuest): void {
  const missing = missingFrom(report, expected);
  if (missing.length === 0) return;
  throw new EverbootFailure('InternalError', `the guest reported, but not ${missing.join('; not ')}`, {
    problems: missing.map((fact) => `not seen: ${fact}`),
  });
}
