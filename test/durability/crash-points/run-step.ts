import { readFile } from 'node:fs/promises';
import { closeLibvirt } from '../../../hypervisor/libvirt/libvirt.ts';
import type { Describe } from '../../fixtures/running-operation-client.ts';
import type { StepOrder } from './at-call.ts';
import { asActivity } from './step-context.ts';

/** Runs one step of a host’s worker, alone in this process, and ends as it does. */
const { module, name, host, order, described } = JSON.parse(process.env.STEP ?? '') as StepOrder;
const describe: Describe = async (runId) => {
  const { ownRun, anyRun } = JSON.parse(await readFile(described ?? '', 'utf8'));
  return runId === undefined ? anyRun : ownRun;
};
try {
  const { [name]: step } = await import(`../../../activities/${module}.ts`);
  await asActivity(() => step(host, order), described === undefined ? undefined : describe);
} catch (error) {
  process.stderr.write(`${(error as { code?: string }).code ?? ''}: ${error}\n`);
  process.exitCode = 1;
} finally {
  await closeLibvirt();
}
