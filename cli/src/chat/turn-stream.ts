import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { TurnState, type Turn, type TurnEvent } from "@openhermit/protocol/sessions/v1/session";
import type { SendMessageRequestSchema } from "@openhermit/protocol/sessions/v1/session_service";
import { errorDetail, isUnreachable } from "../error-report.ts";
import { NO_DEADLINE, type Gateway } from "../gateway-client.ts";

/** What followTurn needs. */
export interface FollowOptions {
  sessions: Gateway["sessions"];
  /** With a request_id, so that sending it again joins the first turn. */
  request: MessageInitShape<typeof SendMessageRequestSchema> & { requestId: string };
  signal: AbortSignal;
  /** Told when the stream has broken and will be taken up again after a pause. */
  onBreak(error: unknown): void;
  /** How long the gateway may be away, in milliseconds. Default 60,000. */
  patienceMs?: number;
}

const FIRST_PAUSE_MS = 200;
const MAX_PAUSE_MS = 2000;

/** Whether the turn has come to one of its four ends. */
export function hasEnded(turn: Turn): boolean {
  return turn.state >= TurnState.SUCCEEDED;
}

/**
 * Sends a message and yields its events until the turn has ended. A stream that breaks is taken up again: by the
 * same request_id as long as the turn is not known, by WatchTurn afterwards, so nothing is sent twice. The events
 * after a resume repeat complete steps; see TurnView. Throws what the gateway refuses, and what lasts too long.
 */
export async function* followTurn(options: FollowOptions): AsyncGenerator<TurnEvent> {
  const { sessions, request, signal, onBreak, patienceMs = 60_000 } = options;
  const call = { ...NO_DEADLINE, signal };
  let turnId: string | undefined;
  let tried = false;
  let brokenSince: number | undefined;
  let pause = FIRST_PAUSE_MS;
  for (;;) {
    try {
      const stream = turnId === undefined ? sessions.sendMessage(request, call) : sessions.watchTurn({ turnId }, call);
      for await (const { event } of stream) {
        if (!event) continue;
        brokenSince = undefined;
        pause = FIRST_PAUSE_MS;
        if (event.event.case === "turn") turnId = event.event.value.id;
        yield event;
        if (event.event.case === "turn" && hasEnded(event.event.value)) return;
      }
      throw new ConnectError("the stream ended before the turn", Code.Unavailable);
    } catch (error) {
      signal.throwIfAborted();
      const refused = turnId === undefined && !tried && (isUnreachable(error) || isAnswer(error));
      brokenSince ??= Date.now();
      if (refused || !mayHeal(error) || Date.now() - brokenSince > patienceMs) throw error;
      tried = true;
      onBreak(error);
    }
    await sleep(pause, undefined, { signal });
    pause = Math.min(pause * 2, MAX_PAUSE_MS);
  }
}

/** Whether the gateway has answered the call, rather than a call been cut off, which has the name of its code as its reason. */
function isAnswer(error: unknown): boolean {
  const reason = errorDetail(error)?.reason;
  return reason !== undefined && !["UNAVAILABLE", "ABORTED", "CANCELED", "DEADLINE_EXCEEDED"].includes(reason);
}

/** Whether the same call may succeed soon. */
function mayHeal(error: unknown): boolean {
  if (!(error instanceof ConnectError)) return false;
  switch (error.code) {
    case Code.Unavailable:
    case Code.Aborted:
    case Code.Canceled:
    case Code.DeadlineExceeded:
    case Code.ResourceExhausted:
    case Code.Internal:
    case Code.Unknown:
      return true;
    default:
      return false;
  }
}
