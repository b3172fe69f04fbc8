import { create } from "@bufbuild/protobuf";
import type { Welcome } from "@openhermit/protocol/mesh/v1/link_service";
import { TurnErrorSchema, TurnState } from "@openhermit/protocol/sessions/v1/session";

import type { Ledger } from "../ledger/ledger-store.ts";
import type { LedgerTurnRow } from "../ledger/turn-store.ts";
import { writeTurnEnd } from "./turn-end.ts";

/** What became of the turns that nobody runs any more. */
export interface Recovered {
  /** Ended as interrupted: a tool had started. */
  interrupted: string[];
  /** To be offered again by the gateway. */
  abandoned: string[];
}

/** Settles what was running when the process ended: a turn whose tool had started is never run again; the others are forgotten. */
export function recoverTurns(ledger: Ledger): Recovered {
  return ledger.closing(() => {
    const recovered: Recovered = { interrupted: [], abandoned: [] };
    for (const turn of ledger.turns.listByState("open")) {
      settleTurn(ledger, turn);
      (turn.toolStarted ? recovered.interrupted : recovered.abandoned).push(turn.turnId);
    }
    return recovered;
  });
}

/** Settles one turn that will not go on here. */
export function settleTurn(ledger: Ledger, turn: LedgerTurnRow): void {
  if (!turn.toolStarted) return ledger.turns.abandon(turn.turnId);
  const error = create(TurnErrorSchema, {
    reason: "TURN_INTERRUPTED",
    message:
      "the sidecar stopped while the turn ran; it is not run again, since a tool had started and may have had its effect",
    retryable: false,
  });
  writeTurnEnd(
    ledger,
    { ...turn.request, attempt: turn.attempt },
    {
      state: TurnState.INTERRUPTED,
      answer: "",
      usage: undefined,
      error,
      toolStarted: true,
      durationMs: undefined,
    },
  );
}

/**
 * Brings the ledger in line with a Welcome: forgets the dead and the abandoned turns with all that the gateway does not have
 * of them, and numbers the rest of the outbox from the cursor on. Returns the turns that are dead.
 */
export function alignWithGateway(ledger: Ledger, welcome: Welcome, first: boolean): ReadonlySet<string> {
  return ledger.closing(() => {
    const abandoned = ledger.turns.listByState("abandoned").map((turn) => turn.turnId);
    const gone = new Set([...welcome.deadTurnIds, ...abandoned]);
    const cursor = Number(welcome.cursor);
    const { dropped, renumbered } = ledger.outbox.realign(cursor, gone, first);
    for (const { body } of dropped) if (body.case === "transcriptEntry") ledger.transcripts.retract([body.value]);
    if (renumbered) {
      ledger.turns.realign(cursor, ledger.outbox.last);
      ledger.transcripts.realign(cursor, ledger.outbox.last);
    }
    for (const turnId of gone) ledger.turns.remove(turnId);
    return new Set(welcome.deadTurnIds);
  });
}
