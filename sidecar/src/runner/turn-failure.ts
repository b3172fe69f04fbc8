import { create } from "@bufbuild/protobuf";
import { MeshError } from "@openhermit/errors";
import { TurnErrorSchema, type TurnError } from "@openhermit/protocol/sessions/v1/session";
import { ModelError } from "../model/model-error.ts";

/** Ends a turn without success. */
export class TurnFailure extends Error {
  override readonly name = "TurnFailure";
  /** A stable name in upper snake case, listed in docs/errors.md. */
  readonly reason: string;
  readonly retryable: boolean;

  constructor(reason: string, message: string, retryable: boolean) {
    super(message);
    this.reason = reason;
    this.retryable = retryable;
  }
}

/** Why a turn failed; undefined for what is a defect of ours and belongs into the log. */
export function knownTurnError(thrown: unknown): TurnError | undefined {
  if (thrown instanceof TurnFailure || thrown instanceof ModelError) {
    return create(TurnErrorSchema, { reason: thrown.reason, message: thrown.message, retryable: thrown.retryable });
  }
  if (thrown instanceof MeshError) {
    const retryable = thrown.code === "unavailable" || thrown.code === "resource_exhausted";
    const message = thrown.hint === "" ? thrown.message : `${thrown.message}: ${thrown.hint}`;
    return create(TurnErrorSchema, { reason: thrown.reason, message, retryable });
  }
  return undefined;
}
