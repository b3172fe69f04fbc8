import type { Sql } from "@openhermit/postgres";
import type { Ephemeral } from "@openhermit/protocol/mesh/v1/outbox";
import type { LiveTurns } from "./live-turns.ts";
import type { TurnBatch } from "./sessions-ports.ts";
import { entryInsertStatement } from "./transcript-store.ts";
import { collapseChanges, updateTurn, type TurnUpdate } from "./turn-change.ts";
import type { TurnDispatcher } from "./turn-dispatcher.ts";
import type { TurnHub } from "./turn-hub.ts";
import { turnUpdateStatement } from "./turn-ingest-store.ts";
import { isEnd } from "./turn.ts";

/** What sidecars say about turns: stored, then shown. */
export interface TurnIngest {
  statements(batch: TurnBatch): Sql[];
  ingested(batch: TurnBatch): void;
  ephemeral(items: readonly Ephemeral[]): void;
}

/** A batch as it was stored. */
interface StoredUpdates {
  readonly updates: readonly TurnUpdate[];
  /** The gateway's time that was written where a sidecar's clock was ahead. */
  readonly nowMs: number;
}

/** Creates the ingest. `refresh` reads turns of which something was stored that this gateway does not have in hand. */
export function createTurnIngest(options: {
  hub: TurnHub;
  live: LiveTurns;
  dispatcher: Pick<TurnDispatcher, "accepted" | "ended">;
  refresh(turnIds: readonly string[]): void;
}): TurnIngest {
  const { hub, live, dispatcher } = options;
  const stored = new WeakMap<TurnBatch, StoredUpdates>();

  const updatesOf = (batch: TurnBatch): StoredUpdates => {
    let made = stored.get(batch);
    if (made === undefined) {
      made = { updates: collapseChanges(batch.turnChanges), nowMs: Date.now() };
      stored.set(batch, made);
    }
    return made;
  };

  /** Whether the update is of a turn in hand, so that it was stored just as memory says. */
  const isInHand = ({ turnId, attempt }: TurnUpdate): boolean => live.get(turnId)?.attempt === attempt;

  const show = (update: TurnUpdate, nowMs: number): void => {
    const channel = hub.get(update.turnId);
    if (channel?.turn !== undefined) channel.show(updateTurn(channel.turn, update, nowMs));
  };

  return {
    statements(batch) {
      const parts: Sql[] = [];
      if (batch.turnChanges.length > 0) {
        const { updates, nowMs } = updatesOf(batch);
        parts.push(turnUpdateStatement(updates, nowMs));
      }
      if (batch.entries.length > 0) parts.push(entryInsertStatement(batch.entries));
      return parts;
    },

    ingested(batch) {
      const { updates, nowMs } = updatesOf(batch);
      const unknown: string[] = [];
      for (const update of updates) {
        if (!isInHand(update)) {
          unknown.push(update.turnId);
          continue;
        }
        dispatcher.accepted(update.turnId, update.attempt);
        if (!isEnd(update.state)) show(update, nowMs);
      }
      for (const entry of batch.entries) {
        if (live.get(entry.turnId) !== undefined) hub.get(entry.turnId)?.entry(entry);
      }
      for (const update of updates) {
        const turn = live.get(update.turnId);
        if (turn === undefined || !isEnd(update.state) || !isInHand(update)) continue;
        show(update, nowMs);
        dispatcher.ended(turn);
      }
      if (unknown.length > 0) options.refresh(unknown);
    },

    ephemeral(items) {
      for (const item of items) {
        const channel = hub.get(item.turnId);
        if (channel === undefined) continue;
        dispatcher.accepted(item.turnId, item.attempt);
        channel.ephemeral(item);
      }
    },
  };
}
