import type { Database } from "@openhermit/postgres";
import type { LiveTurns } from "../live-turns.ts";
import type { SessionsPorts } from "../sessions-ports.ts";
import { listNewEntries } from "../transcript-store.ts";
import type { TurnHub } from "../turn-hub.ts";
import type { TurnRecord } from "../turn-record.ts";
import { findTurns } from "../turn-store.ts";

/** How many entries of one turn are read at once, see listNewEntries. */
const PAGE = 100;

/**
 * Shows those who watch a turn here that runs through another gateway, or waits, what was stored of it: its states and complete steps.
 * Runs without a statement while there is nothing to follow.
 */
export function createFollowRemoteTurns(options: {
  database: Database;
  hub: TurnHub;
  live: LiveTurns;
  ports: Pick<SessionsPorts, "hasLink">;
  /** Shows turns as they are stored. */
  settle(records: readonly TurnRecord[]): void;
}): () => Promise<void> {
  const { database, hub, live, ports, settle } = options;

  const isLinked = (turnId: string): boolean => {
    const turn = live.get(turnId);
    return turn !== undefined && ports.hasLink(turn.agentId);
  };

  return async () => {
    const followed = hub.watched().filter((channel) => channel.turn !== undefined && !isLinked(channel.turnId));
    if (followed.length === 0) return;
    const before = new Map(followed.map((channel) => [channel.turnId, channel.version]));
    // The turns first: whoever then sees an end sees all entries before it.
    const records = await findTurns(database, [...before.keys()]);
    const wanted = followed.map(({ turnId, turn, position }) => ({
      turnId,
      sessionId: turn?.sessionId ?? "",
      after: position,
    }));
    const entries = await listNewEntries(database, wanted);
    const counts = new Map<string, number>();
    for (const entry of entries) counts.set(entry.turnId, (counts.get(entry.turnId) ?? 0) + 1);
    // Something was shown meanwhile: what was read may be older.
    const isFresh = (turnId: string): boolean => hub.get(turnId)?.version === before.get(turnId);
    const fresh = new Set([...before.keys()].filter((turnId) => isFresh(turnId) && !isLinked(turnId)));
    for (const entry of entries) if (fresh.has(entry.turnId)) hub.get(entry.turnId)?.entry(entry);
    settle(records.filter(({ turn }) => fresh.has(turn.id) && (counts.get(turn.id) ?? 0) < PAGE));
  };
}
