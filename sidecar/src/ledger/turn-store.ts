import type { DatabaseSync } from "node:sqlite";

import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { RunTurnSchema, type RunTurn } from "@openhermit/protocol/mesh/v1/link_service";
import { TurnChangeSchema, type TurnChange } from "@openhermit/protocol/mesh/v1/outbox";

/** Open: accepted and not ended. Ended: its end is in the outbox or stored. Abandoned: lost in a crash, to be forgotten. */
export type LedgerTurnState = "open" | "ended" | "abandoned";

/** One accepted turn. */
export interface LedgerTurnRow {
  turnId: string;
  attempt: number;
  state: LedgerTurnState;
  toolStarted: boolean;
  request: RunTurn;
  /** How it ended; set when it has. */
  terminal: TurnChange | undefined;
}

/** The turns that were accepted here. */
export interface TurnStore {
  /** One turn, however it stands. */
  get(turnId: string): LedgerTurnRow | undefined;
  /** All turns of a state. */
  listByState(state: LedgerTurnState): LedgerTurnRow[];
  /** The turns to name in Hello: open ones, and ended ones whose end is above the acknowledged sequence. */
  listUnsettled(acknowledged: number): { turnId: string; attempt: number }[];
  /** Writes down an accepted turn. */
  open(request: RunTurn): void;
  /** Gives a turn a newer attempt. */
  setAttempt(turnId: string, attempt: number): void;
  /** From now on the turn is not run a second time. */
  setToolStarted(turnId: string): void;
  /** Ends a turn; the end stands at that sequence of the outbox. */
  end(terminal: TurnChange, sequence: number): void;
  /** Marks a turn as lost. */
  abandon(turnId: string): void;
  /** Forgets a turn. */
  remove(turnId: string): void;
  /** Forgets the turns that ended before the time (Unix milliseconds) and whose end is acknowledged. */
  removeSettled(acknowledged: number, endedBefore: number): void;
  /** After the outbox was numbered anew: ends above `cursor` count as standing at `last`. */
  realign(cursor: number, last: number): void;
}

const COLUMNS = "turn_id, attempt, state, tool_started, request, terminal";

/** The table of turns. */
export function createTurnStore(db: DatabaseSync): TurnStore {
  const get = db.prepare(`SELECT ${COLUMNS} FROM turns WHERE turn_id = ?`);
  const listByState = db.prepare(`SELECT ${COLUMNS} FROM turns WHERE state = ? ORDER BY turn_id`);
  const listUnsettled = db.prepare(
    "SELECT turn_id, attempt FROM turns WHERE state = 'open' OR (state = 'ended' AND end_sequence > ?) ORDER BY turn_id",
  );
  const open = db.prepare(
    "INSERT OR REPLACE INTO turns (turn_id, attempt, state, tool_started, request) VALUES (?, ?, 'open', 0, ?)",
  );
  const setAttempt = db.prepare("UPDATE turns SET attempt = ? WHERE turn_id = ?");
  const setToolStarted = db.prepare("UPDATE turns SET tool_started = 1 WHERE turn_id = ?");
  const end = db.prepare(
    "UPDATE turns SET state = 'ended', attempt = ?, terminal = ?, end_sequence = ?, ended_at = ? WHERE turn_id = ?",
  );
  const abandon = db.prepare("UPDATE turns SET state = 'abandoned' WHERE turn_id = ?");
  const remove = db.prepare("DELETE FROM turns WHERE turn_id = ?");
  const removeSettled = db.prepare("DELETE FROM turns WHERE ended_at < ? AND end_sequence <= ?");
  const realign = db.prepare("UPDATE turns SET end_sequence = ? WHERE end_sequence > ?");
  return {
    get(turnId) {
      const row = get.get(turnId);
      return row === undefined ? undefined : toTurn(row);
    },
    listByState: (state) => listByState.all(state).map(toTurn),
    listUnsettled: (acknowledged) =>
      listUnsettled
        .all(acknowledged)
        .map((row) => ({ turnId: String(row["turn_id"]), attempt: Number(row["attempt"]) })),
    open(request) {
      open.run(request.turnId, request.attempt, toBinary(RunTurnSchema, request));
    },
    setAttempt(turnId, attempt) {
      setAttempt.run(attempt, turnId);
    },
    setToolStarted(turnId) {
      setToolStarted.run(turnId);
    },
    end(terminal, sequence) {
      end.run(terminal.attempt, toBinary(TurnChangeSchema, terminal), sequence, Date.now(), terminal.turnId);
    },
    abandon(turnId) {
      abandon.run(turnId);
    },
    remove(turnId) {
      remove.run(turnId);
    },
    removeSettled(acknowledged, endedBefore) {
      removeSettled.run(endedBefore, acknowledged);
    },
    realign(cursor, last) {
      realign.run(last, cursor);
    },
  };
}

function toTurn(row: Record<string, unknown>): LedgerTurnRow {
  const terminal = row["terminal"] as Uint8Array | null;
  return {
    turnId: String(row["turn_id"]),
    attempt: Number(row["attempt"]),
    state: row["state"] as LedgerTurnState,
    toolStarted: row["tool_started"] === 1,
    request: fromBinary(RunTurnSchema, row["request"] as Uint8Array),
    terminal: terminal === null ? undefined : fromBinary(TurnChangeSchema, terminal),
  };
}
