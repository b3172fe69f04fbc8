import type { TurnChange } from "@openhermit/protocol/mesh/v1/outbox";
import type { Turn, TurnError, Usage } from "@openhermit/protocol/sessions/v1/session";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { isEnd } from "./turn.ts";

/** All that a batch says about one attempt of a turn. */
export interface TurnUpdate {
  readonly turnId: string;
  readonly attempt: number;
  /** RUNNING or an end; an end wins. */
  state: TurnState;
  toolStarted: boolean;
  /** When it first ran, on the sidecar's clock in Unix milliseconds. Undefined when the batch does not say. */
  startMs: number | undefined;
  /** When it ended, likewise. */
  endMs: number | undefined;
  error: TurnError | undefined;
  /** The latest; undefined when the batch does not say. */
  usage: Usage | undefined;
  answer: string;
}

/** One update for each turn and attempt, in the order of the turns' ids, so that two batches lock rows in the same order. */
export function collapseChanges(changes: readonly TurnChange[]): TurnUpdate[] {
  const updates = new Map<string, TurnUpdate>();
  for (const change of changes) {
    const key = `${change.turnId}/${change.attempt}`;
    let update = updates.get(key);
    if (update === undefined) {
      const { turnId, attempt } = change;
      update = {
        turnId,
        attempt,
        state: TurnState.RUNNING,
        toolStarted: false,
        startMs: undefined,
        endMs: undefined,
        error: undefined,
        usage: undefined,
        answer: "",
      };
      updates.set(key, update);
    }
    addChange(update, change);
  }
  const all = [...updates.values()];
  return all.length === 1 ? all : all.toSorted((a, b) => (a.turnId < b.turnId ? -1 : a.turnId > b.turnId ? 1 : 0));
}

function addChange(update: TurnUpdate, change: TurnChange): void {
  update.toolStarted ||= change.toolStarted;
  if (isEnd(update.state)) return;
  update.usage = change.usage ?? update.usage;
  const ms = change.time === undefined ? undefined : timestampMs(change.time);
  if (isEnd(change.state)) {
    update.state = change.state;
    update.endMs = ms;
    update.error = change.error;
    update.answer = change.answer;
  } else {
    update.startMs ??= ms;
  }
}

/** The turn after the update, as turnUpdateStatement writes it. The turn has not ended and is of the update's attempt. */
export function updateTurn(turn: Turn, update: TurnUpdate, nowMs: number): Turn {
  const { startMs, endMs, usage, error, answer } = update;
  const createMs = turn.createTime === undefined ? 0 : timestampMs(turn.createTime);
  const next: Turn = { ...turn };
  const mayStart = turn.state !== TurnState.QUEUED || isEnd(update.state);
  if (turn.startTime === undefined && startMs !== undefined && mayStart) {
    next.startTime = timestampFromMs(plausibleMs(startMs, createMs, nowMs));
  }
  if (usage !== undefined) next.usage = usage;
  if (isEnd(update.state)) {
    next.state = update.state;
    next.endTime = timestampFromMs(plausibleMs(endMs, createMs, nowMs));
    next.answer = answer;
    if (error !== undefined) next.error = error;
  } else if (turn.state === TurnState.OFFERED) {
    next.state = TurnState.RUNNING;
  }
  return next;
}

/** A time that a sidecar says, kept between the turn's creation and now: its clock may be wrong. */
function plausibleMs(saidMs: number | undefined, createMs: number, nowMs: number): number {
  return Math.min(Math.max(saidMs ?? nowMs, createMs), nowMs);
}
