import type { RecordChanges } from "@openhermit/caller";
import type { Database } from "@openhermit/postgres";
import type { Serial } from "./serial.ts";
import { turnCancelled, turnNotFound } from "./sessions-errors.ts";
import type { TurnDispatcher } from "./turn-dispatcher.ts";
import type { TurnRecord } from "./turn-record.ts";
import { cancelTurn, findTurn } from "./turn-store.ts";
import { isEnd } from "./turn.ts";

/**
 * Asks a turn to end and returns it as it is then. Throws TURN_NOT_FOUND.
 *
 * @param record where it is written down that somebody asked; nothing when the turn has ended or was asked before. Left out
 * where it follows from what the caller asked for earlier.
 */
export type CancelTurn = (turnId: string, reason: string, record?: RecordChanges) => Promise<TurnRecord>;

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
  return async (turnId, reason, record) => {
    const asked = await serial(async () => {
      const cancelled = turnCancelled(`the turn was cancelled: ${reason}`);
      const changed =
        record === undefined
          ? await cancelTurn(database, turnId, cancelled)
          : await database.transaction(async (tx) => {
              const turn = await cancelTurn(tx, turnId, cancelled);
              if (turn !== undefined)
                await record(tx, [{ action: "turns.cancel", targetType: "turn", targetId: turnId }]);
              return turn;
            });
      if (changed !== undefined && isEnd(changed.turn.state)) dispatcher.changed([changed]);
      return changed;
    });
    const found = asked ?? (await findTurn(database, turnId));
    if (found === undefined) throw turnNotFound(turnId);
    const { agentId, state } = found.turn;
    // Asked again: perhaps the first time did not reach the sidecar.
    if (!isEnd(state) && !dispatcher.passCancel({ turnId, agentId }, found.cancelReason ?? reason)) {
      options.onUnlinked(found);
    }
    return found;
  };
}
