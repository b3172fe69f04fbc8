import { create } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { FailureSchema, MessageOutSchema, TurnEndSchema } from "@openhermit/protocol/activity/v1/event";
import type { RunTurn } from "@openhermit/protocol/mesh/v1/link_service";
import { TurnChangeSchema, type TurnChange } from "@openhermit/protocol/mesh/v1/outbox";
import { TurnState, type TurnError, type Usage } from "@openhermit/protocol/sessions/v1/session";

import { elapsedDuration } from "../elapsed-duration.ts";
import type { Ledger } from "../ledger/ledger-store.ts";
import { turnEvent } from "./turn-event.ts";

/** How a turn ended, also when nobody was there to see it. */
export interface TurnEnding {
  state: TurnState;
  answer: string;
  usage: Usage | undefined;
  error: TurnError | undefined;
  toolStarted: boolean;
  /** From its start here, in milliseconds. Undefined when that is not known. */
  durationMs: number | undefined;
}

/** Writes the end of a turn: the answer, the failure, the end and the state, in one transaction. */
export function writeTurnEnd(ledger: Ledger, request: RunTurn, ending: TurnEnding): void {
  const { outbox, turns } = ledger;
  const { turnId, attempt } = request;
  const { state, answer, usage, error, toolStarted, durationMs } = ending;
  const failed = state === TurnState.FAILED || state === TurnState.INTERRUPTED;
  ledger.closing(() => {
    if (state === TurnState.SUCCEEDED) {
      const value = create(MessageOutSchema, { text: answer });
      outbox.append({ case: "event", value: turnEvent(request, { case: "messageOut", value }) }, turnId);
    }
    if (failed && error !== undefined) {
      const source = error.reason.startsWith("MODEL_") ? "model" : "runtime";
      const value = create(FailureSchema, { source, reason: error.reason, message: error.message });
      outbox.append({ case: "event", value: turnEvent(request, { case: "failure", value }) }, turnId);
    }
    const turnEnd = create(TurnEndSchema, {
      state,
      ...(usage === undefined ? {} : { usage }),
      ...(durationMs === undefined ? {} : { duration: elapsedDuration(durationMs) }),
    });
    outbox.append({ case: "event", value: turnEvent(request, { case: "turnEnd", value: turnEnd }) }, turnId);
    const terminal = create(TurnChangeSchema, {
      turnId,
      attempt,
      state,
      toolStarted,
      answer,
      time: timestampNow(),
      ...(error === undefined ? {} : { error }),
      ...(usage === undefined ? {} : { usage }),
    });
    turns.end(terminal, outbox.append({ case: "turnChange", value: terminal }, turnId));
  });
}

/** Says the end of a turn once more, for a newer attempt of it: it is not run a second time. */
export function repeatTurnEnd(ledger: Ledger, terminal: TurnChange, attempt: number): void {
  const repeated: TurnChange = { ...terminal, attempt };
  ledger.closing(() => {
    ledger.turns.end(repeated, ledger.outbox.append({ case: "turnChange", value: repeated }, terminal.turnId));
  });
}
