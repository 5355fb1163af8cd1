/**
 * The times by which workflows wait for hosts, steps and operators, in ms. They are part of the workflow bundle and no
 * configuration: every worker continues every operation, so a time that one host set would decide for all others. Only
 * `bundleWorkflows` can put another module in this one's place, and only tests ask it to, so as not to wait themselves.
 */
export interface StepTimes {
  /** A worker that says nothing for this long is taken for dead, and the step is given to the next one. */
  readonly heartbeatTimeoutMs: number;
  /**
   * The time in which a host's worker has to take the first step of an operation; a host that is never there shows
   * here.
   */
  readonly firstContactTimeoutMs: number;
  /**
   * The most that a forward step may take with all its attempts, the host away in between; and one attempt of an undo.
   */
  readonly stepTimeoutMs: number;
  /** The pause before a step's second attempt; each further pause is twice as long. */
  readonly firstRetryAfterMs: number;
  readonly longestRetryPauseMs: number;
  /** The pause before an undo that failed permanently is tried once more. */
  readonly undoAgainAfterMs: number;
  /** The first ping of a host comes after this: an operation that is quick costs none. */
  readonly firstPingAfterMs: number;
  readonly longestPauseBetweenPingsMs: number;
  /**
   * A host whose worker takes no ping within this time is away; where an operation's limit is short, within half of it.
   */
  readonly awayAfterMs: number;
  /** The time in which a worker that took a ping has to answer it. */
  readonly pingTimeoutMs: number;
  /** For how long one ping waits for a host that is away. */
  readonly longPingMs: number;
  /** A parked operation first shows again after this for how long it has waited, and then ever more seldom. */
  readonly firstReminderMs: number;
  readonly longestPauseBetweenRemindersMs: number;
}

export const stepTimes: StepTimes = {
  heartbeatTimeoutMs: 10_000,
  firstContactTimeoutMs: 45_000,
  stepTimeoutMs: 24 * 3_600_000,
  firstRetryAfterMs: 1000,
  longestRetryPauseMs: 30_000,
  undoAgainAfterMs: 30_000,
  firstPingAfterMs: 60_000,
  longestPauseBetweenPingsMs: 10 * 60_000,
  awayAfterMs: 20_000,
  pingTimeoutMs: 10_000,
  longPingMs: 12 * 3_600_000,
  firstReminderMs: 60_000,
  longestPauseBetweenRemindersMs: 24 * 3_600_000,
};
