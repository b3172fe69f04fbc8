import type { Reach } from "@openhermit/caller";
import type { Database } from "@openhermit/postgres";
import type { TurnEvent } from "@openhermit/protocol/sessions/v1/session";
import { turnNotFound } from "./sessions-errors.ts";
import type { TurnHub } from "./turn-hub.ts";
import { joinTurn } from "./turn-stream.ts";

/**
 * Streams a turn from where it is to somebody who did not send it, for as long as its agent is in reach: each event is shown only if it
 * is. Streams on which nothing happens are ended by the gateway.
 *
 * Throws TURN_NOT_FOUND, for a turn out of reach as for one that does not exist.
 */
export async function* watchTurn(
  { database, hub }: { database: Database; hub: TurnHub },
  turnId: string,
  reach: Reach,
  signal: AbortSignal,
): AsyncGenerator<TurnEvent> {
  let agent: string | undefined;
  const mayRead = (agentId: string): boolean => {
    agent = agentId;
    return reach.has(agentId);
  };
  const subscription = hub.subscribe(turnId, 0n);
  const onAbort = (): void => subscription.close();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    for await (const event of joinTurn({ database, hub, turnId, subscription, mayRead })) {
      if (agent !== undefined && !reach.has(agent)) throw turnNotFound(turnId);
      yield event;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    subscription.close();
  }
}
