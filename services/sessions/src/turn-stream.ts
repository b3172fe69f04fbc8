import { create } from "@bufbuild/protobuf";
import type { Database } from "@openhermit/postgres";
import {
  TurnEventSchema,
  TurnState,
  type TranscriptEntry,
  type Turn,
  type TurnEvent,
} from "@openhermit/protocol/sessions/v1/session";
import { turnNotFound } from "./sessions-errors.ts";
import { listTurnEntries } from "./transcript-store.ts";
import type { StoredStep } from "./turn-channel.ts";
import type { TurnHub } from "./turn-hub.ts";
import type { TurnSubscription } from "./turn-subscription.ts";
import { findTurn } from "./turn-store.ts";
import { isEnd } from "./turn.ts";

const PAGE = { maxEntries: 200, maxBytes: 1024 * 1024 };

/**
 * Streams a turn from where it is: first the turn, then its complete steps, the text of the running step so far, then what
 * follows, up to the end. Nothing is missing and nothing comes twice: the subscription begins before the database is read.
 *
 * An ended turn with steps is first shown as it was while it ran, so that an end is always the last event.
 *
 * Throws TURN_NOT_FOUND, also when the reader may not see turns of its agent.
 */
export async function* joinTurn(options: {
  database: Database;
  hub: TurnHub;
  turnId: string;
  subscription: TurnSubscription;
  mayRead(agentId: string): boolean;
}): AsyncGenerator<TurnEvent> {
  const { database, hub, turnId, subscription } = options;
  const record = await findTurn(database, turnId);
  if (record === undefined || !options.mayRead(record.turn.agentId)) throw turnNotFound(turnId);
  const { turn } = record;
  const ended = isEnd(turn.state);
  hub.get(turnId)?.know(turn, record.basePosition);

  let position = record.basePosition;
  let first = true;
  const steps: StoredStep[] = [];
  for (let more = true; more;) {
    const page = await listTurnEntries(database, { sessionId: turn.sessionId, turnId }, position, PAGE);
    if (first) yield turnEvent(ended && page.entries.length > 0 ? beforeItsEnd(turn) : turn);
    if (first && ended && page.entries.length === 0) return;
    first = false;
    for (const entry of page.entries) {
      position = entry.position;
      const { entry: said } = entry;
      if (said.case === "assistantMessage") steps.push({ position, step: said.value.step });
      const event = entryEvent(entry);
      if (event !== undefined) yield event;
    }
    ({ more } = page);
  }
  if (ended) {
    yield turnEvent(turn);
    return;
  }
  const read = { position, attempt: turn.attempt, state: turn.state };
  const channel = hub.get(turnId);
  // Without a channel the turn has ended meanwhile, and its end waits in the subscription.
  if (channel === undefined) subscription.catchUp(read, undefined);
  else channel.catchUp(subscription, read, steps);
  yield* subscription;
}

function turnEvent(turn: Turn): TurnEvent {
  return create(TurnEventSchema, { event: { case: "turn", value: turn } });
}

function entryEvent({ entry }: TranscriptEntry): TurnEvent | undefined {
  if (entry.case !== "assistantMessage" && entry.case !== "toolResult") return undefined;
  return create(TurnEventSchema, { event: entry });
}

function beforeItsEnd(turn: Turn): Turn {
  const { endTime: _endTime, error: _error, ...rest } = turn;
  return { ...rest, state: TurnState.RUNNING, answer: "" };
}
