import { setCurrentDetails } from '@temporalio/workflow';
import type { ReconcileReport, ReconcileResult } from '../domain/host-maintenance.ts';
import type { WorkflowInput } from '../domain/workflows.ts';
import { firstContact, stepsOn } from './host-steps.ts';
import { trackOperation } from './operation-tracker.ts';
import { reconcileDetails } from './reconcile-details.ts';

/**
 * Reconciles a host: orphans of operations that ended without success are removed, and everything else that is worth a
 * word is reported with its reason. After a start of the machine, a host that is set to starts its guests again.
 */
export async function reconcileHost({ host, dryRun }: WorkflowInput<'reconcileHost'>): Promise<ReconcileResult> {
  const tracker = trackOperation('reconcile', host, 'Reconciling');
  const summary = `${dryRun ? 'list the orphans on' : 'reconcile'} ${host}`;
  const report = await firstContact(host, tracker, 'reconcileHost', summary, { dryRun });
  tracker.remark('reconcileHost', wordsOf(report));
  // After the reconciliation: what another host has by now is not started again.
  const resumed = report.resumeGuests
    ? await stepsOn(host, tracker).resumeGuests(`start the guests that ran before ${host} was rebooted`, undefined)
    : null;
  if (resumed !== null) tracker.remark('resumeGuests', `${resumed.started} started, ${resumed.leftOff} left off`);
  tracker.enter('Done');
  const result: ReconcileResult = { ...report, resumed };
  setCurrentDetails(reconcileDetails(result));
  return result;
}

function wordsOf({ dryRun, removed, kept }: ReconcileReport): string {
  return `${removed.length} ${dryRun ? 'would be removed' : 'removed'}, ${kept.length} reported`;
}
