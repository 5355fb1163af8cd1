import { EverbootFailure } from '../../domain/failures.ts';

/** How to reach a libvirt daemon, in the words of whatever binding speaks to it. */
export interface Daemon<Connection> {
  /** For messages: the connection's URI. */
  readonly title: string;
  readonly open: () => Promise<Connection>;
  readonly close: (connection: Connection) => Promise<unknown>;
  /** A cheap call that fails only on a dead connection. */
  readonly ping: (connection: Connection) => Promise<unknown>;
  readonly callTimeoutMs: number;
}

/** Sends one call to the daemon, within the time limit. */
export type Call<Connection> = <Answer>(send: (connection: Connection) => Promise<Answer>) => Promise<Answer>;

export interface KeptConnection<Connection> {
  /** Runs work that consists of calls. The work may run twice: again from its beginning on a new connection. */
  use<Made>(work: (call: Call<Connection>) => Promise<Made>): Promise<Made>;
  /** Closes the connection, if there is one; the next use opens another. */
  close(): Promise<void>;
}

/** Each call occupies a thread of Node's pool, and files need threads too. */
const maxCallsAtOnce = 2;

/**
 * Keeps one connection open, since each costs the daemon a client. When a call fails, a ping distinguishes a refusal
 * from a dead connection; it is not read from the words of an error, which may be translated. A dead connection is
 * opened again once.
 *
 * Throws LibvirtUnavailable when the daemon cannot be reached or does not answer in time; a refusal is thrown as it is.
 */
export function keepConnection<Connection>(daemon: Daemon<Connection>): KeptConnection<Connection> {
  const inTurn = takeTurns(maxCallsAtOnce);
  let kept: Promise<Connection> | undefined;
  let overdueCalls = 0;

  /**
   * A call that is overdue cannot be taken back. Until it has ended nothing else is sent, so that it cannot define a
   * domain after an undo has looked for it, and threads that are stuck don't become more.
   */
  const withinLimit = async <Answer>(send: () => Promise<Answer>): Promise<Answer> => {
    if (overdueCalls > 0) throw unavailable(daemon.title, 'it has not answered an earlier call yet');
    const answer = send();
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        overdueCalls += 1;
        const ended = (): void => {
          overdueCalls -= 1;
        };
        answer.then(ended, ended);
        reject(unavailable(daemon.title, `no answer within ${daemon.callTimeoutMs / 1000} s`));
      }, daemon.callTimeoutMs);
    });
    return await Promise.race([answer, limit]).finally(() => clearTimeout(timer));
  };

  const open = (): Promise<Connection> => {
    const opening = inTurn(() => withinLimit(daemon.open)).catch((error) => {
      kept = undefined;
      throw error instanceof EverbootFailure ? error : unavailable(daemon.title, wordsOf(error));
    });
    kept = opening;
    return opening;
  };

  const use: KeptConnection<Connection>['use'] = async (work) => {
    for (let isLastTry = false; ; isLastTry = true) {
      const used = kept ?? open();
      const connection = await used;
      const call: Call<Connection> = (send) => inTurn(() => withinLimit(() => send(connection)));
      try {
        return await work(call);
      } catch (error) {
        if (error instanceof EverbootFailure) throw error;
        const isAlive = await call(daemon.ping).then(
          () => true,
          () => false,
        );
        if (isAlive) throw error;
        if (kept === used) {
          kept = undefined;
          await daemon.close(connection).catch(() => undefined);
        }
        if (isLastTry) throw unavailable(daemon.title, wordsOf(error));
      }
    }
  };
  const close = async (): Promise<void> => {
    const connection = await kept?.catch(() => undefined);
    kept = undefined;
    if (connection !== undefined) await daemon.close(connection).catch(() => undefined);
  };
  return { use, close };
}

/** libvirt's message, short enough for a history. */
export function wordsOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).trim().slice(0, 1000);
}

function unavailable(title: string, reason: string): EverbootFailure {
  return new EverbootFailure('LibvirtUnavailable', `libvirt at ${title} does not answer: ${reason}`);
}

/** Lets a few pieces of work run at once; the others wait, first come, first served. */
function takeTurns(places: number): <Made>(work: () => Promise<Made>) => Promise<Made> {
  const waiting: (() => void)[] = [];
  let free = places;
  return async (work) => {
    if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
    else free -= 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };
}
