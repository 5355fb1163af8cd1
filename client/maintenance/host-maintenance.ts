import { randomUUID } from 'node:crypto';
import { type ReconcileResult, reconcileWorkflowId } from '../../domain/host-maintenance.ts';
import type { ClientContext } from '../temporal/client-context.ts';
import type { OnHost } from './cache.ts';
import { type HostRun, startHostWork } from './host-run.ts';

/** The control plane's calls to whole hosts. */
export interface HostClient {
  /**
   * Removes what operations without success left on a host, and reports what else is there without an owner. Throws
   * HostUnreachable.
   */
  reconcile(options?: OnHost & { readonly dryRun?: boolean }): Promise<HostRun<ReconcileResult>>;
}

/** Maintenance of hosts over one connection. Each method throws EverbootFailure, and nothing else on purpose. */
export function hostClient(context: ClientContext): HostClient {
  return {
    async reconcile({ host, dryRun = false } = {}) {
      const summary = dryRun ? 'list the orphans of failed operations' : 'remove the orphans of failed operations';
      // A look alone is nobody else's business, and must not be joined by whoever wants more.
      const workflowIdOn = (name: string): string => reconcileWorkflowId(name) + (dryRun ? `/${randomUUID()}` : '');
      const inputOn = (name: string) => ({ host: name, dryRun });
      return await startHostWork(context, {
        workflowType: 'reconcileHost',
        host,
        inputOn,
        workflowIdOn,
        summary,
        operation: 'reconcile',
        phase: 'Reconciling',
      });
    },
  };
}
