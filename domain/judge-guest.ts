import type { OperationFacts } from './judge-claim.ts';

/** A guest of a host that was started again. */
export interface GuestFacts {
  readonly host: string;
  /** By its record: whether the instance was to run, and has ever been ready. */
  readonly wanted: boolean;
  /** Its domain's state under this claim; null: libvirt has none. */
  readonly domain: 'running' | 'shut off' | null;
  /** Whether it was shut off when the host was last looked over before it went down. */
  readonly wasOff: boolean;
  /** The newest run on its instance; null: Temporal does not know it, or not any more. */
  readonly newest: OperationFacts | null;
  /** Whether a deferred cleanup is about to remove it. */
  readonly isBeingCleared: boolean;
}

export type GuestVerdict = 'start' | 'runs already' | 'not wanted' | { readonly leftOff: string };

/**
 * Whether a guest is started again after its host was. As with Nova, what counts is that it ran: one that somebody shut
 * off stays off. A guest that is being deleted, or that another host has by now, must not run here.
 */
export function judgeGuest({ host, wanted, domain, wasOff, newest, isBeingCleared }: GuestFacts): GuestVerdict {
  if (!wanted) return 'not wanted';
  if (domain === 'running') return 'runs already';
  if (domain === null) return { leftOff: 'libvirt has no domain with its claim' };
  if (wasOff) return { leftOff: 'it was shut off when it was last seen' };
  if (isBeingCleared) return { leftOff: 'it was abandoned, and a deferred cleanup is removing it' };
  if (newest === null) return 'start';
  const isElsewhere = newest.host !== null && newest.host !== host;
  if (newest.operation === 'delete' && isElsewhere) {
    // What was removed on another host is not this guest; as long as it was not, it may run there.
    return newest.outcome === 'succeeded' ? 'start' : { leftOff: `the host ${newest.host} may have it by now` };
  }
  if (newest.operation === 'delete') {
    return { leftOff: newest.outcome === 'open' ? 'it is being deleted' : 'somebody wanted it deleted' };
  }
  if (isElsewhere && (newest.outcome === 'open' || newest.outcome === 'succeeded')) {
    return { leftOff: `the host ${newest.host} has it by now` };
  }
  return 'start';
}
