import type { Database } from "@openhermit/postgres";
import type { Serial } from "./serial.ts";
import { turnCancelled, turnNotFound } from "./sessions-errors.ts";
import type { TurnDispatcher } from "./turn-dispatcher.ts";
import type { TurnRecord } from "./turn-record.ts";
import { cancelTurn, findTurn } from "./turn-store.ts";
import { isEnd } from "./turn.ts";

/** Asks a turn to end and returns it as it is then. Throws TURN_NOT_FOUND. */
export type CancelTurn = (turnId: string, reason: string) => Promise<TurnRecord>;

/**
 * Creates the cancellation: a queued turn ends in the database, one under way keeps the reason there, so that it does not run again
 * if its sidecar is lost, and its sidecar is told.
 */
export function createCancelTurn(options: {
  database: Database;
  dispatcher: TurnDispatcher;
  serial: Serial;
  /** No sidecar of the agent is linked here: other gateways are told. */
  onUnlinked(record: TurnRecord): void;
}): CancelTurn {
  const { database, dispatcher, serial } = options;
  return async (turnId, reason) => {
    const record = await serial(async () => {
      const cancelled = await cancelTurn(database, turnId, turnCancelled(`the turn was cancelled: ${reason}`));
      if (cancelled !== undefined && isEnd(cancelled.turn.state)) dispatcher.changed([cancelled]);
      return cancelled;
    });
    if (record === undefined) {
      const ended = await findTurn(database, turnId);
      if (ended === undefined) throw turnNotFound(turnId);
      return ended;
    }
    const { agentId, state } = record.turn;
    if (!isEnd(state) && !dispatcher.passCancel({ turnId, agentId }, record.cancelReason ?? reason)) {
      options.onUnlinked(record);
    }
    return record;
  };
}
