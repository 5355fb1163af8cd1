import { setTimeout as sleep } from 'node:timers/promises';
import { EverbootFailure } from '../../domain/failures.ts';

/** Nova's pause between two attempts. */
const pauseMs = 1000;

export interface Round {
  /** The places asked in turn: servers, or the one address there is. Never empty. */
  readonly places: readonly string[];
  /** How many attempts without any progress are a round. */
  readonly attempts: number;
  /** The failure code of a failed round. */
  readonly failure: 'GlanceUnavailable' | 'SourceUnreachable';
  /** The last error of each place; filled here, since whoever gives up later wants to name them. */
  readonly lastErrors: Map<string, string>;
  readonly signal: AbortSignal;
}

/**
 * Tries until an attempt succeeds: over the places in turn, a second apart or as long as a server asks for. Only
 * SourceUnreachable is tried again; an attempt that got anywhere before it failed restarts the count.
 *
 * Throws the round's failure when all attempts failed, and everything else that an attempt throws.
 */
export async function attemptRound<Made>(
  round: Round,
  attempt: (place: string) => Promise<Made>,
  hasProgressed: () => boolean = () => false,
): Promise<Made> {
  const notBeforeMs = new Map<string, number>();
  let failed = 0;
  for (let turn = 0; ; turn += 1) {
    const place = round.places[turn % round.places.length] as string;
    await sleepUntil(notBeforeMs.get(place) ?? 0, round.signal);
    round.signal.throwIfAborted();
    try {
      return await attempt(place);
    } catch (error) {
      round.signal.throwIfAborted();
      if (!(error instanceof EverbootFailure) || error.code !== 'SourceUnreachable') throw error;
      round.lastErrors.set(place, error.message);
      failed = hasProgressed() ? 1 : failed + 1;
      if (failed >= round.attempts) throw roundFailure(round, error.retryAfterMs);
      notBeforeMs.set(place, Date.now() + (error.retryAfterMs ?? 0));
      await sleepUntil(Date.now() + pauseMs, round.signal);
    }
  }
}

async function sleepUntil(timeMs: number, signal: AbortSignal): Promise<void> {
  const waitMs = timeMs - Date.now();
  if (waitMs <= 0) return;
  await sleep(waitMs, undefined, { signal }).catch((error) => {
    signal.throwIfAborted();
    throw error;
  });
}

function roundFailure({ failure, lastErrors, attempts }: Round, retryAfterMs: number | undefined): EverbootFailure {
  const times = attempts === 1 ? 'once' : `${attempts} times`;
  return new EverbootFailure(failure, `no success after ${times}: ${namedErrors(lastErrors)}`, {
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** Each place with its last error, in one line. The errors begin with the address that gave them. */
function namedErrors(lastErrors: ReadonlyMap<string, string>): string {
  return [...lastErrors]
    .map(([place, error]) => (error.includes(place) ? error : `${place}: ${error}`))
    .join('; ')
    .slice(0, 2000);
}
