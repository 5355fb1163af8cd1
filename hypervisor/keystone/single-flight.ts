interface Flight<Made> {
  readonly made: Promise<Made>;
  readonly stop: AbortController;
  waiting: number;
}

/**
 * Makes one run of some work serve everyone who asks while it is under way. Whoever gives up leaves it to the others;
 * it is stopped when nobody waits for it any more. The next one who asks after its end begins a new run.
 */
export function singleFlight<Made>(
  work: (signal: AbortSignal) => Promise<Made>,
): (signal: AbortSignal) => Promise<Made> {
  let current: Flight<Made> | undefined;

  const begin = (): Flight<Made> => {
    const stop = new AbortController();
    const flight = { made: work(stop.signal), stop, waiting: 0 };
    const end = (): void => {
      if (current === flight) current = undefined;
    };
    flight.made.then(end, end);
    return flight;
  };

  return async (signal) => {
    signal.throwIfAborted();
    current ??= begin();
    const flight = current;
    flight.waiting += 1;
    try {
      return await unlessAborted(flight.made, signal);
    } finally {
      flight.waiting -= 1;
      if (flight.waiting === 0) {
        // One that is being stopped is of no use to whoever comes next.
        if (current === flight) current = undefined;
        flight.stop.abort();
      }
    }
  };
}

function unlessAborted<Made>(made: Promise<Made>, signal: AbortSignal): Promise<Made> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(signal.reason);
    signal.addEventListener('abort', giveUp, { once: true });
    made.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp));
  });
}
