import type { ClearRemainsInput } from '../domain/operations.ts';
import { stepsOn } from './host-steps.ts';
import { trackOperation } from './operation-tracker.ts';

/**
 * The tombstone of an operation on a host that was given up: as soon as the host is back, it removes there what the
 * operation had made, its domain first. It waits for the host for ever; terminate it where the host never comes back.
 */
export async function clearRemains({ host, name, ...remains }: ClearRemainsInput): Promise<void> {
  const tracker = trackOperation('clear', host, 'WaitingForHost');
  await stepsOn(host, tracker).removeRemains(`remove what ${name} left on ${host}`, remains);
  tracker.enter('Done');
}
