import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { callerName, reachOf, type Caller, type Reach, type RecordChanges } from "@openhermit/caller";
import type { Database } from "@openhermit/postgres";
import { SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import { formatTraceparent, newTraceContext, parseTraceparent } from "@openhermit/telemetry";
import type { CancelTurn } from "./cancel-turn.ts";
import type { SendMessage } from "./send-message.ts";
import { pageEndOf, toSessionMessage } from "./session-proto.ts";
import { findSession, findSessionAgent, listSessions } from "./session-store.ts";
import { sessionNotFound, turnNotFound } from "./sessions-errors.ts";
import { listEntries } from "./transcript-store.ts";
import type { TurnHub } from "./turn-hub.ts";
import type { TurnRecord } from "./turn-record.ts";
import { findTurn } from "./turn-store.ts";
import { watchTurn } from "./watch-turn.ts";

const DEFAULT_SESSIONS = 50;
const DEFAULT_ENTRIES = 200;
/** Of a page of entries: a message holds at most 4 MiB. */
const MAX_PAGE_BYTES = 2 * 1024 * 1024;

/** Registers SessionService. What belongs to an agent out of the caller's reach does not exist for the caller. */
export function registerSessionService(
  router: ConnectRouter,
  options: {
    database: Database;
    caller(context: HandlerContext): Caller;
    audit(context: HandlerContext): RecordChanges;
    hub: TurnHub;
    sendMessage: SendMessage;
    cancelTurn: CancelTurn;
  },
): void {
  const { database, caller, audit, sendMessage, cancelTurn } = options;
  const reachIn = (context: HandlerContext): Reach => reachOf(caller(context));

  const turnInReach = async (turnId: string, context: HandlerContext): Promise<TurnRecord> => {
    const record = await findTurn(database, turnId);
    if (record === undefined || !reachIn(context).has(record.turn.agentId)) throw turnNotFound(turnId);
    return record;
  };

  router.service(SessionService, {
    // Whether the agent is in reach was checked before: the request names it.
    async *sendMessage(request, context) {
      const sender = {
        name: callerName(caller(context)),
        traceparent: traceparentOf(context),
        signal: context.signal,
      };
      for await (const event of sendMessage(request, sender)) yield { event };
    },

    async *watchTurn({ turnId }, context) {
      for await (const event of watchTurn(options, turnId, reachIn(context), context.signal)) yield { event };
    },

    async cancelTurn({ turnId }, context) {
      await turnInReach(turnId, context);
      const { turn } = await cancelTurn(turnId, `${callerName(caller(context))} asked for it`, audit(context));
      return { turn };
    },

    async getTurn({ turnId }, context) {
      const { turn } = await turnInReach(turnId, context);
      return { turn };
    },

    async getSession({ sessionId }, context) {
      const session = await findSession(database, sessionId);
      if (session === undefined || !reachIn(context).has(session.agentId)) throw sessionNotFound(sessionId);
      return { session: toSessionMessage(session) };
    },

    async listSessions({ agentId, pageSize, pageToken }, context) {
      const agentIds = listedAgents(agentId, reachIn(context));
      const limit = pageSize === 0 ? DEFAULT_SESSIONS : pageSize;
      const { sessions, nextPageToken } = await listSessions(database, agentIds, pageEndOf(pageToken), limit);
      return { sessions: sessions.map(toSessionMessage), nextPageToken };
    },

    async listTranscript({ sessionId, afterPosition, pageSize }, context) {
      const agentId = await findSessionAgent(database, sessionId);
      if (agentId === undefined || !reachIn(context).has(agentId)) throw sessionNotFound(sessionId);
      const maxEntries = pageSize === 0 ? DEFAULT_ENTRIES : pageSize;
      const bounds = { maxEntries, maxBytes: MAX_PAGE_BYTES };
      const { entries } = await listEntries(database, sessionId, afterPosition, bounds);
      return { entries };
    },
  });
}

/** Of which agents sessions are listed: undefined for all. An agent out of reach has none, as one that does not exist. */
function listedAgents(agentId: string, reach: Reach): readonly string[] | undefined {
  if (agentId !== "") return reach.has(agentId) ? [agentId] : [];
  return reach.all ? undefined : [...new Set(reach.ids())];
}

/** The span of the call, which the gateway has put into the header. */
function traceparentOf(context: HandlerContext): string {
  const span = parseTraceparent(context.requestHeader.get("traceparent") ?? undefined);
  return formatTraceparent(span ?? newTraceContext());
}
