import type { Database } from "@openhermit/postgres";
import type { TurnError } from "@openhermit/protocol/sessions/v1/session";
import { failOverdue, listUnreachableAgents } from "../recovery-store.ts";
import type { Serial } from "../serial.ts";
import { agentUnreachable, deletedWhileQueued, stoppedWhileQueued } from "../sessions-errors.ts";
import type { SessionsPorts } from "../sessions-ports.ts";
import type { SessionsTiming } from "../timing.ts";
import type { TurnDispatcher } from "../turn-dispatcher.ts";
import { failQueued, listQueuedAgents } from "../turn-store.ts";

/** Part of {@link SessionsTiming.unreachableMs} after which the search for turns that nobody comes for is repeated. */
const UNREACHABLE_SHARE = 20;

/**
 * The safety net of the queue: wakes the dispatcher for agents with queued turns, whoever queued them, and fails the turns that
 * will not run: of an agent that was stopped or deleted, or that nobody has reached for too long.
 */
export function createDispatchQueuedTurns(options: {
  database: Database;
  ports: SessionsPorts;
  dispatcher: TurnDispatcher;
  serial: Serial;
  timing: SessionsTiming;
  /** Whether the database was there for long enough to judge who was seen when. */
  mayJudge(): boolean;
  now(): number;
}): () => Promise<void> {
  const { database, ports, dispatcher, serial, timing, mayJudge, now } = options;
  /** Since when agents with queued turns are stopped or unknown. */
  const goneSince = new Map<string, number>();
  let searchedAt = -Infinity;

  const goneError = (agentId: string): TurnError | undefined => {
    const { state } = ports.agentForTurn(agentId);
    if (state === "ready") return undefined;
    return state === "stopped" ? stoppedWhileQueued(agentId) : deletedWhileQueued(agentId);
  };

  const failGone = async (agentId: string): Promise<void> => {
    const error = goneError(agentId);
    if (error === undefined) {
      goneSince.delete(agentId);
      return;
    }
    const since = goneSince.get(agentId) ?? now();
    goneSince.set(agentId, since);
    // A restart stops the agent for a moment.
    if (now() - since < timing.goneMs) return;
    await serial(async () => dispatcher.changed(await failQueued(database, agentId, error)));
  };

  const failUnreachable = async (): Promise<void> => {
    if (!mayJudge() || now() - searchedAt < timing.unreachableMs / UNREACHABLE_SHARE) return;
    searchedAt = now();
    for (const agentId of await listUnreachableAgents(database, timing.unreachableMs)) {
      if (ports.hasLink(agentId)) continue;
      const error = agentUnreachable(agentId);
      await serial(async () => dispatcher.changed(await failOverdue(database, agentId, timing.unreachableMs, error)));
    }
  };

  return async () => {
    const agentIds = await listQueuedAgents(database);
    for (const agentId of goneSince.keys()) if (!agentIds.includes(agentId)) goneSince.delete(agentId);
    dispatcher.wake(agentIds.filter((agentId) => dispatcher.canOffer(agentId)));
    for (const agentId of agentIds) await failGone(agentId);
    if (agentIds.some((agentId) => !ports.hasLink(agentId))) await failUnreachable();
  };
}
