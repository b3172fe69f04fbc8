import { create } from "@bufbuild/protobuf";
import { MeshError } from "@openhermit/errors";
import { TurnErrorSchema, TurnState, UsageSchema } from "@openhermit/protocol/sessions/v1/session";

import type { TurnOutcome } from "../runtime/turn-journal.ts";

// A runtime that does not come back after an abort is not waited for.
const ABORT_PATIENCE_MS = 5000;

/** A turn that was ended from outside before it said how it ended. */
export function cancelledOutcome(): TurnOutcome {
  return { state: TurnState.CANCELLED, answer: "", usage: create(UsageSchema) };
}

/** A turn that failed outside of its runtime. */
export function failedOutcome(error: unknown): TurnOutcome {
  const reason = error instanceof MeshError ? error.reason : "RUNTIME_FAILED";
  const message =
    error instanceof MeshError ? error.message : "the agent's runtime failed; the sidecar's log says more";
  const retryable = error instanceof MeshError && (error.code === "unavailable" || error.code === "resource_exhausted");
  return {
    state: TurnState.FAILED,
    answer: "",
    usage: create(UsageSchema),
    error: create(TurnErrorSchema, { reason, message, retryable }),
  };
}

/** The error of an end that needs one and came without. */
export function defaultError(state: TurnState, cancelReason: string): TurnOutcome["error"] {
  if (state !== TurnState.CANCELLED) return undefined;
  const message = cancelReason === "" ? "the turn was cancelled" : cancelReason;
  return create(TurnErrorSchema, { reason: "TURN_CANCELLED", message, retryable: false });
}

/** The outcome; or, some seconds after an abort that the runtime does not heed, a cancelled one. */
export async function withPatience(signal: AbortSignal, running: Promise<TurnOutcome>): Promise<TurnOutcome> {
  const { promise, resolve } = Promise.withResolvers<TurnOutcome>();
  let timer: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    timer = setTimeout(() => resolve(cancelledOutcome()), ABORT_PATIENCE_MS).unref();
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort);
  try {
    return await Promise.race([running, promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
