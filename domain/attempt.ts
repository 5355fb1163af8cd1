import type { RequestedInstance } from './operations.ts';

/**
 * The orphans on an abandoned host: none, files and claims, or a domain as well. Each value includes the ones before
 * it.
 */
export type Made = 'nothing' | 'files' | 'domain';

/** One attempt at an instance, on one host: its state, and the facts that decide how it ends. */
export type AttemptState =
  | ({ readonly at: 'building' } & AttemptFacts)
  /** A step failed permanently, and an operator decides. */
  | ({ readonly at: 'parked'; readonly failure: unknown } & AttemptFacts)
  /** Its steps are being undone; `end` is how the attempt ends then. */
  | { readonly at: 'undoing'; readonly leaves: Made; readonly failure: unknown; readonly end: AttemptEnd }
  | AttemptEnd;

export type AttemptEnd =
  /** The instance lives: nothing abandons it any more. */
  | { readonly at: 'made' }
  | { readonly at: 'failed'; readonly failure: unknown }
  /** An operator changed the request; what was made for the old one is undone. */
  | { readonly at: 'changed'; readonly request: RequestedInstance }
  | GivenUp;

/** The ends that leave the host as it is, with steps that may still run there. */
export type GivenUp =
  /** The host has been away for too long, or never answered; another one takes over. */
  | { readonly at: 'unreachable'; readonly leaves: Made }
  /** An operator said that the host is gone. `failure`: what the attempt was parked or being undone for, if it was. */
  | { readonly at: 'gone'; readonly leaves: Made; readonly failure?: unknown };

interface AttemptFacts {
  readonly leaves: Made;
  /** True: another host can take over. A guest that may run here is not built anywhere else. */
  readonly mayMove: boolean;
  /** True: it waits for an operator where it fails (`onFailure: hold`). */
  readonly holds: boolean;
}

export type AttemptEvent =
  /** A step is about to make what the host would have to remove. */
  | { readonly kind: 'leaves'; readonly leaves: Made }
  /** The guest is about to be started, and may run from now on. */
  | { readonly kind: 'guestStarts' }
  | { readonly kind: 'made' }
  /** A step failed permanently. `isUnreachable`: since no worker of the host answered. */
  | { readonly kind: 'failed'; readonly failure: unknown; readonly isUnreachable: boolean }
  | { readonly kind: 'cancelled'; readonly failure: unknown }
  /** An operator had a parked attempt continue as it is. */
  | { readonly kind: 'retried' }
  /** An operator had it continue with another request. */
  | { readonly kind: 'changed'; readonly request: RequestedInstance }
  | { readonly kind: 'abandoned' }
  /** The last undo is done. */
  | { readonly kind: 'undone' }
  /** The host has been away for as long as it may be. */
  | { readonly kind: 'hostUnreachable' }
  /** An operator said that the host never comes back. */
  | { readonly kind: 'hostGone' };

type StateAt<At extends AttemptState['at']> = Extract<AttemptState, { readonly at: At }>;
type EventOf<Kind extends AttemptEvent['kind']> = Extract<AttemptEvent, { readonly kind: Kind }>;

/** The transitions out of a state, by event; an event without one changes nothing. */
type Transitions<At extends AttemptState['at']> = {
  readonly [Kind in AttemptEvent['kind']]?: (state: StateAt<At>, event: EventOf<Kind>) => AttemptState;
};

const madeInOrder: readonly Made[] = ['nothing', 'files', 'domain'];

const transitions: { readonly [At in AttemptState['at']]: Transitions<At> } = {
  building: {
    leaves: (state, event) => ({ ...state, leaves: theMore(state.leaves, event.leaves) }),
    guestStarts: (state) => ({ ...state, mayMove: false }),
    made: () => ({ at: 'made' }),
    failed({ leaves, mayMove, holds }, { failure, isUnreachable }) {
      // With nothing to undo there is nothing to wait for an operator with: the next host is as good.
      const moves = mayMove && isUnreachable && leaves === 'nothing';
      if (moves) return { at: 'undoing', leaves, failure, end: { at: 'unreachable', leaves } };
      if (holds) return { at: 'parked', leaves, mayMove, holds, failure };
      return { at: 'undoing', leaves, failure, end: { at: 'failed', failure } };
    },
    cancelled: undo,
    hostUnreachable: (state) => (state.mayMove ? { at: 'unreachable', leaves: state.leaves } : state),
    hostGone: ({ leaves }) => ({ at: 'gone', leaves }),
  },
  parked: {
    cancelled: undo,
    retried: ({ leaves, mayMove, holds }) => ({ at: 'building', leaves, mayMove, holds }),
    changed: ({ leaves, failure }, { request }) => ({
      at: 'undoing',
      leaves,
      failure,
      end: { at: 'changed', request },
    }),
    abandoned: (state) => undo(state, state),
    // What waits for an operator moves nowhere, however long its host is away.
    hostGone: ({ leaves, failure }) => ({ at: 'gone', leaves, failure }),
  },
  undoing: {
    undone: ({ end }) => end,
    // What is being undone is undone there and nowhere else, unless an operator says that the host is gone.
    hostGone: ({ leaves, failure }) => ({ at: 'gone', leaves, failure }),
  },
  made: {},
  failed: {},
  changed: {},
  unreachable: {},
  gone: {},
};

/** An attempt that has made nothing yet. */
export function newAttempt({ mayMove, holds }: Pick<AttemptFacts, 'mayMove' | 'holds'>): AttemptState {
  return { at: 'building', leaves: 'nothing', mayMove, holds };
}

/** The state after an event. One without a transition in this state changes nothing, and no end is left again. */
export function nextAttempt(state: AttemptState, event: AttemptEvent): AttemptState {
  // The compiler does not see that both indexes belong to the arguments that follow.
  const transition = transitions[state.at][event.kind] as
    | ((state: AttemptState, event: AttemptEvent) => AttemptState)
    | undefined;
  return transition === undefined ? state : transition(state, event);
}

/** Whether the attempt left its host as it is. Whatever its steps still do is not heard any more. */
export function isGivenUp(state: AttemptState): state is GivenUp {
  return state.at === 'unreachable' || state.at === 'gone';
}

function undo({ leaves }: { leaves: Made }, { failure }: { failure: unknown }): AttemptState {
  return { at: 'undoing', leaves, failure, end: { at: 'failed', failure } };
}

/** An attempt that was retried registers its undos again, and has not lost what came after them. */
function theMore(had: Made, now: Made): Made {
  return madeInOrder.indexOf(now) > madeInOrder.indexOf(had) ? now : had;
}
