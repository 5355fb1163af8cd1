import { EverbootFailure } from '../domain/failures.ts';
import type { CleanupOrder } from '../domain/host-activities.ts';
import { type InstanceRecord, isWithoutDomain } from '../domain/instance-record.ts';
import { judgeCleanup } from '../domain/judge-cleanup.ts';
import { imageStore } from '../hypervisor/image-store/image-store.ts';
import { withInstanceLock } from '../hypervisor/instance/instance-lock.ts';
import { domainClaim } from '../hypervisor/libvirt/libvirt.ts';
import { readRecordState } from '../hypervisor/reconcile/record-state.ts';
import { removeOrphan } from '../hypervisor/reconcile/remove-orphan.ts';
import type { Host } from './context/host.ts';
import { withWorkControl } from './context/work-control.ts';
import { askForNewestRun } from './fencing/operation-runs.ts';

/**
 * Removes the orphans of an operation whose host was abandoned, its domain first. Without an operation's id it was a
 * deletion that was abandoned: then everything of the instance is removed, but what was made again since. Absence is
 * success. Throws InstanceBusy while it is not decided yet what is orphaned, see `judgeCleanup`; HostIoError where the
 * record cannot be read; TemporalUnreachable; and with a domain LibvirtUnavailable.
 */
export async function removeOrphans(host: Host, order: CleanupOrder): Promise<void> {
  const { instanceId, operationId, withDomain = true } = order;
  const { paths } = host;
  await withWorkControl(({ signal }) =>
    withInstanceLock(paths, instanceId, { shared: false, signal }, async ({ descriptor }) => {
      const record = await readRecordState(paths, instanceId);
      if (record === 'unreadable') {
        throw new EverbootFailure('HostIoError', `the record of ${instanceId} is damaged, or of a later release`);
      }
      const found = operationId === null ? await operationsFound(host, order, record) : [];
      // In this order, and under the lock: whatever was found is of a run that Temporal knows by then.
      const newest = await askForNewestRun(instanceId);
      const ready = record?.state === 'ready' ? record.claim.operationId : null;
      const verdict = judgeCleanup({ operationId, found, ready, newest });
      if ('wait' in verdict) {
        throw new EverbootFailure('InstanceBusy', `nothing of ${instanceId} is removed yet: ${verdict.wait}`);
      }
      for (const left of verdict.remove) {
        const orphan = { claim: { instanceId, operationId: left }, leases: [] };
        await removeOrphan(host, orphan, record, { signal, descriptor, withDomain });
      }
    }),
  );
}

/** The operations that have a claim on anything here of the instance. */
async function operationsFound(
  { paths, configuration }: Host,
  { instanceId, withDomain = true }: CleanupOrder,
  record: InstanceRecord | undefined,
): Promise<string[]> {
  const mayHaveDomain = withDomain && (record === undefined || !isWithoutDomain(record));
  const domain = mayHaveDomain ? await domainClaim(configuration.libvirt.connectionUri, instanceId) : null;
  const cached = (await imageStore.inventory.claimedBy(paths, instanceId)).map(({ claim }) => claim);
  const all = [...(record === undefined ? [] : [record.claim]), ...(domain === null ? [] : [domain]), ...cached];
  return [...new Set(all.filter((claim) => claim.instanceId === instanceId).map((claim) => claim.operationId))];
}
