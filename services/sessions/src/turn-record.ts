import type { Turn } from "@openhermit/protocol/sessions/v1/session";

/** A stored turn: what callers see, and what only the gateway knows. */
export interface TurnRecord {
  readonly turn: Turn;
  readonly userId: string;
  readonly channel: string;
  /** The W3C trace context of the caller. */
  readonly traceparent: string;
  readonly createTime: Date;
  readonly toolStarted: boolean;
  /** Why it was asked to end; undefined when it was not. */
  readonly cancelReason: string | undefined;
  /** The gateway that offered or adopted it last. */
  readonly gatewayId: string | undefined;
  /** Its transcript entries come after this position. */
  readonly basePosition: bigint;
}
