import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import type { Database } from "@openhermit/postgres";
import { SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import { formatTraceparent, newTraceContext, parseTraceparent } from "@openhermit/telemetry";
import type { CancelTurn } from "./cancel-turn.ts";
import type { SendMessage } from "./send-message.ts";
import { decodePageToken, encodePageToken, toSessionMessage } from "./session-proto.ts";
import { findSession, listSessions } from "./session-store.ts";
import { sessionNotFound, turnNotFound } from "./sessions-errors.ts";
import type { Caller } from "./sessions-ports.ts";
import { listEntries } from "./transcript-store.ts";
import type { TurnHub } from "./turn-hub.ts";
import { joinTurn } from "./turn-stream.ts";
import { findTurn } from "./turn-store.ts";
import { isUuid } from "@openhermit/ids";

const DEFAULT_SESSIONS = 50;
const DEFAULT_ENTRIES = 200;
/** Of a page of entries: a message holds at most 4 MiB. */
const MAX_PAGE_BYTES = 2 * 1024 * 1024;

/** Registers SessionService. */
export function registerSessionService(
  router: ConnectRouter,
  options: {
    database: Database;
    caller(context: HandlerContext): Caller;
    hub: TurnHub;
    sendMessage: SendMessage;
    cancelTurn: CancelTurn;
  },
): void {
  const { database, caller, hub, sendMessage, cancelTurn } = options;
  router.service(SessionService, {
    async *sendMessage(request, context) {
      const sender = {
        userId: nameOf(caller(context)),
        traceparent: traceparentOf(context),
        signal: context.signal,
      };
      for await (const event of sendMessage(request, sender)) yield { event };
    },

    async *watchTurn({ turnId }, context) {
      const subscription = hub.subscribe(turnId, 0n);
      const onAbort = (): void => subscription.close();
      context.signal.addEventListener("abort", onAbort, { once: true });
      try {
        for await (const event of joinTurn({ database, hub, turnId, subscription })) yield { event };
      } finally {
        context.signal.removeEventListener("abort", onAbort);
        subscription.close();
      }
    },

    async cancelTurn({ turnId }, context) {
      const { turn } = await cancelTurn(turnId, `${nameOf(caller(context))} asked for it`);
      return { turn };
    },

    async getTurn({ turnId }) {
      const record = await findTurn(database, turnId);
      if (record === undefined) throw turnNotFound(turnId);
      return { turn: record.turn };
    },

    async getSession({ sessionId }) {
      const session = await findSession(database, sessionId);
      if (session === undefined) throw sessionNotFound(sessionId);
      return { session: toSessionMessage(session) };
    },

    async listSessions({ agentId, pageSize, pageToken }) {
      const cursor = decodePageToken(pageToken);
      const page = await listSessions(database, agentId, cursor, pageSize === 0 ? DEFAULT_SESSIONS : pageSize);
      return { sessions: page.sessions.map(toSessionMessage), nextPageToken: encodePageToken(page.next) };
    },

    async listTranscript({ sessionId, afterPosition, pageSize }) {
      if (!isUuid(sessionId)) throw sessionNotFound(sessionId);
      const maxEntries = pageSize === 0 ? DEFAULT_ENTRIES : pageSize;
      const bounds = { maxEntries, maxBytes: MAX_PAGE_BYTES };
      const { entries } = await listEntries(database, sessionId, afterPosition, bounds);
      if (entries.length === 0 && (await findSession(database, sessionId)) === undefined) {
        throw sessionNotFound(sessionId);
      }
      return { entries };
    },
  });
}

function nameOf(caller: Caller): string {
  switch (caller.kind) {
    case "principal":
      return caller.id;
    case "sidecar":
      return `sidecar:${caller.sidecarId}`;
    case "anonymous":
      return "anonymous";
  }
}

/** The span of the call, which the gateway has put into the header. */
function traceparentOf(context: HandlerContext): string {
  const span = parseTraceparent(context.requestHeader.get("traceparent") ?? undefined);
  return formatTraceparent(span ?? newTraceContext());
}
