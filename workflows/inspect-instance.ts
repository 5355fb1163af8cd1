import type { InstanceRecord } from '../domain/instance-record.ts';
import { firstContact } from './host-steps.ts';
import { trackOperation } from './operation-tracker.ts';

/** Reads an instance's record on its host, for clients that ask after Temporal has forgotten the instance. */
export async function inspectInstance(input: {
  readonly host: string;
  readonly instanceId: string;
}): Promise<InstanceRecord | null> {
  const tracker = trackOperation('inspect', input.host, 'Reading');
  const { instanceId } = input;
  return await firstContact(input.host, tracker, 'readInstance', `read the record of ${instanceId}`, { instanceId });
}
