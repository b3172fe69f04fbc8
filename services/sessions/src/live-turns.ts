import type { TurnRecord } from "./turn-record.ts";

/** A turn that this gateway has offered or adopted and that has not ended as far as it knows. */
export interface LiveTurn {
  readonly turnId: string;
  readonly sessionId: string;
  readonly agentId: string;
  /** Who sent its message. */
  readonly sender: string;
  attempt: number;
  /** When it was offered last, on the monotonic clock. */
  offeredAt: number;
  /** Whether its sidecar has it. */
  accepted: boolean;
  /** Whether the last check found that another gateway or an end has taken it from here; twice in a row is believed. */
  suspect: boolean;
}

/** The turns in this gateway's hands. */
export interface LiveTurns {
  get(turnId: string): LiveTurn | undefined;
  add(record: TurnRecord, offeredAt: number, accepted: boolean): LiveTurn;
  /** Forgets a turn; whether it was known. */
  remove(turnId: string): boolean;
  /** Whether a turn of the session is in hand. */
  hasSession(sessionId: string): boolean;
  /** The agents of all turns in hand. */
  agentIds(): Set<string>;
  all(): Iterable<LiveTurn>;
  ids(): string[];
  readonly size: number;
}

/** Creates an empty table. */
export function createLiveTurns(): LiveTurns {
  const turns = new Map<string, LiveTurn>();
  const bySession = new Map<string, string>();

  const remove = (turnId: string): boolean => {
    const live = turns.get(turnId);
    if (live === undefined) return false;
    turns.delete(turnId);
    if (bySession.get(live.sessionId) === turnId) bySession.delete(live.sessionId);
    return true;
  };

  return {
    get: (turnId) => turns.get(turnId),
    add({ turn }, offeredAt, accepted) {
      const { id: turnId, sessionId, agentId, sender, attempt } = turn;
      const live = { turnId, sessionId, agentId, sender, attempt, offeredAt, accepted, suspect: false };
      turns.set(turnId, live);
      bySession.set(sessionId, turnId);
      return live;
    },
    remove,
    hasSession: (sessionId) => bySession.has(sessionId),
    agentIds: () => new Set([...turns.values()].map((turn) => turn.agentId)),
    all: () => turns.values(),
    ids: () => [...turns.keys()],
    get size() {
      return turns.size;
    },
  };
}
