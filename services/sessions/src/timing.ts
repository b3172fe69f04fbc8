/** The times (milliseconds) and bounds of the sessions. */
export interface SessionsTiming {
  /** After how long an offer that is not accepted is made again. */
  acceptMs: number;
  /** After how long without a link a turn under way counts as lost. */
  lostMs: number;
  /** How often lost turns are looked for and ownership is renewed. */
  recoverPeriodMs: number;
  /** How often queued turns are looked for, besides being poked. */
  dispatchPeriodMs: number;
  /** How often the turns that run through another gateway are read, while somebody watches them here. */
  followPeriodMs: number;
  /** After how long a turn under way that this gateway owns and does not know is taken for lost. */
  strayMs: number;
  /** How long a queued turn waits for an agent that nobody reaches. */
  unreachableMs: number;
  /** How long an agent must be stopped or deleted before its queued turns fail. */
  goneMs: number;
  /** How long an agent that refused a turn is not offered another. */
  refusedPauseMs: number;
  /** How many turns of one agent may be queued. */
  maxQueuedTurns: number;
  /** How many bytes may wait for one slow reader. */
  maxBufferedBytes: number;
}

/** The usual times: a turn is `running` for at most 30 s without an owner. */
export const USUAL_TIMING: SessionsTiming = {
  acceptMs: 5000,
  lostMs: 25_000,
  recoverPeriodMs: 2000,
  dispatchPeriodMs: 1000,
  followPeriodMs: 300,
  strayMs: 10_000,
  unreachableMs: 15 * 60_000,
  goneMs: 5000,
  refusedPauseMs: 1000,
  maxQueuedTurns: 1000,
  maxBufferedBytes: 1024 * 1024,
};
