import type { Reach } from "@openhermit/caller";
import type { Database } from "@openhermit/postgres";
import type { TurnEvent } from "@openhermit/protocol/sessions/v1/session";
import { turnNotFound } from "./sessions-errors.ts";
import type { SessionsTiming } from "./timing.ts";
import type { TurnHub } from "./turn-hub.ts";
import { joinTurn } from "./turn-stream.ts";

/**
 * Streams a turn from where it is to somebody who did not send it, for as long as its agent is in reach: each event is shown only if it
 * is, and a stream on which nothing happens ends soon after it is not.
 *
 * Throws TURN_NOT_FOUND, for a turn out of reach as for one that does not exist.
 */
export async function* watchTurn(
  options: { database: Database; hub: TurnHub; timing: Pick<SessionsTiming, "reachPeriodMs"> },
  turnId: string,
  reach: Reach,
  signal: AbortSignal,
): AsyncGenerator<TurnEvent> {
  const { database, hub, timing } = options;
  let agent: string | undefined;
  const mayRead = (agentId: string): boolean => {
    agent = agentId;
    return reach.has(agentId);
  };
  const isLost = (): boolean => agent !== undefined && !reach.has(agent);

  const subscription = hub.subscribe(turnId, 0n);
  const onAbort = (): void => subscription.close();
  signal.addEventListener("abort", onAbort, { once: true });
  const watchReach = setInterval(() => {
    if (isLost()) subscription.close(turnNotFound(turnId));
  }, timing.reachPeriodMs);
  watchReach.unref();
  try {
    for await (const event of joinTurn({ database, hub, turnId, subscription, mayRead })) {
      if (isLost()) throw turnNotFound(turnId);
      yield event;
    }
  } finally {
    clearInterval(watchReach);
    signal.removeEventListener("abort", onAbort);
    subscription.close();
  }
}
