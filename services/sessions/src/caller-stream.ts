import { Code, ConnectError } from "@connectrpc/connect";
import type { Database } from "@openhermit/postgres";
import { DisconnectPolicy, type TurnEvent } from "@openhermit/protocol/sessions/v1/session";
import type { Log } from "@openhermit/telemetry";
import type { TurnHub } from "./turn-hub.ts";
import type { TurnRecord } from "./turn-record.ts";
import { joinTurn } from "./turn-stream.ts";
import { isEnd } from "./turn.ts";

/** The streams of those who sent a message: a turn may end when its last caller leaves. */
export interface CallerStreams {
  /**
   * Subscribes now; events come when the result is pulled.
   *
   * @param isNew whether the turn was stored just now. Then there is nothing to catch up with, unless somebody has claimed it already.
   */
  follow(record: TurnRecord, isNew: boolean, signal: AbortSignal): AsyncGenerator<TurnEvent>;
}

/** Creates the streams. */
export function createCallerStreams(options: {
  database: Database;
  hub: TurnHub;
  cancel(turnId: string, reason: string): Promise<unknown>;
  /** Whether streams are cut because the gateway stops. */
  stopping(): boolean;
  log: Log;
}): CallerStreams {
  const { database, hub, cancel, log } = options;
  /** How many callers stream a turn. */
  const callers = new Map<string, number>();

  const enter = (turnId: string): void => void callers.set(turnId, (callers.get(turnId) ?? 0) + 1);
  const exit = (turnId: string): number => {
    const rest = (callers.get(turnId) ?? 1) - 1;
    if (rest > 0) callers.set(turnId, rest);
    else callers.delete(turnId);
    return rest;
  };

  return {
    follow({ turn: { id: turnId, onDisconnect }, basePosition }, isNew, signal) {
      const untouched = isNew && hub.get(turnId) === undefined;
      const subscription = hub.subscribe(turnId, untouched ? basePosition : 0n);
      let ended = false;
      let left = false;
      enter(turnId);
      const leave = (): void => {
        if (left) return;
        left = true;
        signal.removeEventListener("abort", leave);
        subscription.close();
        const others = exit(turnId);
        if (ended || others > 0 || onDisconnect !== DisconnectPolicy.CANCEL) return;
        if (options.stopping() || isGatewayStopping(signal)) return;
        cancel(turnId, "its caller left").catch((error: unknown) =>
          log.warn({ err: error, turn_id: turnId }, "turn of a caller that left not cancelled"),
        );
      };
      signal.addEventListener("abort", leave, { once: true });
      if (signal.aborted) leave();
      const events = untouched ? subscription : joinTurn({ database, hub, turnId, subscription, mayRead: () => true });
      return (async function* () {
        try {
          for await (const event of events) {
            ended ||= event.event.case === "turn" && isEnd(event.event.value.state);
            yield event;
          }
        } finally {
          leave();
        }
      })();
    },
  };
}

/** Whether a call was cut by this gateway's shutdown: its caller may come back. */
function isGatewayStopping(signal: AbortSignal): boolean {
  const reason: unknown = signal.reason;
  return signal.aborted && reason instanceof ConnectError && reason.code === Code.Unavailable;
}
