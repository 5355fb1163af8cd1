import type { CleanUpHostInput } from '../domain/operations.ts';
import { stepsOn } from './host-steps.ts';
import { trackOperation } from './operation-tracker.ts';

/**
 * The deferred cleanup of an operation on an abandoned host: as soon as the host is back, it removes there what the
 * operation had made, its domain first. It waits for the host indefinitely; terminate it where the host never comes
 * back.
 */
export async function cleanUpHost({ host, name, ...cleanup }: CleanUpHostInput): Promise<void> {
  const tracker = trackOperation('cleanup', host, 'WaitingForHost');
  await stepsOn(host, tracker).removeOrphans(`remove what ${name} left on ${host}`, cleanup);
  tracker.enter('Done');
}
