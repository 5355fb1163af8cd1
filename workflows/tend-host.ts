import { setCurrentDetails } from '@temporalio/workflow';
import type { TendReport, TendResult } from '../domain/host-care.ts';
import type { WorkflowInput } from '../domain/workflows.ts';
import { firstContact, stepsOn } from './host-steps.ts';
import { trackOperation } from './operation-tracker.ts';
import { tendDetails } from './tend-details.ts';

/**
 * Looks over a host: what is left of operations that ended without success goes, and everything else that is worth a
 * word is reported with its reason. After a start of the machine, a host that is set to starts its guests again.
 */
export async function tendHost({ host, dryRun }: WorkflowInput<'tendHost'>): Promise<TendResult> {
  const tracker = trackOperation('tend', host, 'Tending');
  const summary = `${dryRun ? 'list the orphans on' : 'tend'} ${host}`;
  const report = await firstContact(host, tracker, 'tendHost', summary, { dryRun });
  tracker.remark('tendHost', wordsOf(report));
  // After the tending: what another host has by now is not started again.
  const resumed = report.resumeGuests
    ? await stepsOn(host, tracker).resumeGuests(`start the guests that ran before ${host} was started`, undefined)
    : null;
  if (resumed !== null) tracker.remark('resumeGuests', `${resumed.started} started, ${resumed.leftOff} left off`);
  tracker.enter('Done');
  const result: TendResult = { ...report, resumed };
  setCurrentDetails(tendDetails(result));
  return result;
}

function wordsOf({ dryRun, removed, kept }: TendReport): string {
  return `${removed.length} ${dryRun ? 'would be removed' : 'removed'}, ${kept.length} reported`;
}
