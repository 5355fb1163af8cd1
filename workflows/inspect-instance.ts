import type { InstanceRecord } from '../domain/instance-record.ts';
import type { WorkflowInput } from '../domain/workflows.ts';
import { firstContact } from './host-steps.ts';
import { trackOperation } from './operation-tracker.ts';

/** Reads an instance's record on its host, for clients that ask after Temporal has forgotten the instance. */
export async function inspectInstance(input: WorkflowInput<'inspectInstance'>): Promise<InstanceRecord | null> {
  const { host, instanceId } = input;
  const tracker = trackOperation('inspect', host, 'Reading');
  return await firstContact(host, tracker, 'readInstance', `read the record of ${instanceId}`, { instanceId });
}
