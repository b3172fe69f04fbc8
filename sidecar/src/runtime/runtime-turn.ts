/** One turn to run. */
export interface RuntimeTurn {
  turnId: string;
  /** From 1. */
  attempt: number;
  sessionId: string;
  userId: string;
  channel: string;
  message: string;
  /** The W3C trace context of the caller; may be empty. */
  traceparent: string;
}
