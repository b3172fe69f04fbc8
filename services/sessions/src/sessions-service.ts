import type { Subscription } from "@openhermit/postgres";
import { createPeriodicTask, type PeriodicTask } from "@openhermit/reconcile";
import { createCallerStreams } from "./caller-stream.ts";
import { createCancelTurn } from "./cancel-turn.ts";
import { formatNotice, parseNotice, type GatewayNotice } from "./gateway-notices.ts";
import { createLiveTurns } from "./live-turns.ts";
import { createSendMessage } from "./send-message.ts";
import { createSerial } from "./serial.ts";
import { registerSessionService } from "./session-service.ts";
import type { SessionsService, SessionsServiceOptions } from "./sessions-ports.ts";
import { createDispatchQueuedTurns } from "./tasks/dispatch-queued-turns.ts";
import { createFollowRemoteTurns } from "./tasks/follow-remote-turns.ts";
import { createRecoverLostTurns } from "./tasks/recover-lost-turns.ts";
import { USUAL_TIMING, type SessionsTiming } from "./timing.ts";
import { listEntriesForAgents } from "./transcript-store.ts";
import { createTurnDispatcher } from "./turn-dispatcher.ts";
import { createTurnEndEvents } from "./turn-end-events.ts";
import { createTurnHub } from "./turn-hub.ts";
import { createTurnIngest } from "./turn-ingest.ts";
import { createTurnRecovery } from "./turn-recovery.ts";
import { findTurns, notifyGateways, SESSIONS_CHANNEL } from "./turn-store.ts";

/** What a sidecar is sent of a transcript at once. */
const TRANSCRIPT_PAGE = { maxEntries: 1000, maxBytes: 1024 * 1024 };

/** Creates the sessions service: sessions, turns and transcripts. */
export function createSessionsService(options: SessionsServiceOptions): SessionsService {
  const { database, log, caller, audit, ports, gatewayId, now = () => performance.now() } = options;
  const timing: SessionsTiming = { ...USUAL_TIMING, ...options.timing };
  const live = createLiveTurns();
  const hub = createTurnHub({ maxBufferedBytes: timing.maxBufferedBytes });
  const serial = createSerial();
  const endEvents = createTurnEndEvents({ ports, log });
  const parts = { database, gatewayId, ports, hub, live, serial, timing, now, log };
  const tasks: PeriodicTask[] = [];
  let subscription: Subscription | undefined;
  let closing = false;

  const notify = (notice: GatewayNotice): void => {
    notifyGateways(database, formatNotice(notice)).catch((error: unknown) =>
      log.debug({ err: error, kind: notice.kind }, "other gateways not told"),
    );
  };
  const refresh = (turnIds: readonly string[]): void => {
    serial(async () => dispatcher.settle(await findTurns(database, turnIds))).catch((error: unknown) =>
      log.warn({ err: error }, "turns not read again"),
    );
  };
  const dispatcher = createTurnDispatcher({
    ...parts,
    endEvents,
    onUnlinked: (agentId) => notify({ kind: "queued", agentId }),
  });
  const cancelTurn = createCancelTurn({
    ...parts,
    dispatcher,
    onUnlinked: ({ turn: { id, agentId }, cancelReason }) =>
      notify({ kind: "cancel", agentId, turnId: id, reason: cancelReason ?? "" }),
  });
  const callers = createCallerStreams({ ...parts, cancel: cancelTurn, stopping: () => closing });
  const sendMessage = createSendMessage({ ...parts, dispatcher, callers });
  const ingest = createTurnIngest({ ...parts, dispatcher, refresh });
  const reconcileTurns = createTurnRecovery({ ...parts, dispatcher });
  const recovery = createRecoverLostTurns({ ...parts, dispatcher, refresh });
  const dispatch = createDispatchQueuedTurns({ ...parts, dispatcher, mayJudge: recovery.mayJudge });
  const follow = createFollowRemoteTurns({ ...parts, settle: dispatcher.settle });

  const onNotice = (notice: GatewayNotice | undefined): void => {
    if (notice === undefined || !ports.hasLink(notice.agentId)) return;
    if (notice.kind === "queued") dispatcher.wake([notice.agentId]);
    else dispatcher.passCancel(notice, notice.reason);
  };

  return {
    routes: (router) => registerSessionService(router, { ...parts, caller, audit, sendMessage, cancelTurn }),
    async start() {
      if (closing || tasks.length > 0) return;
      const onError = (error: unknown): void => {
        // The gateway says itself that its database is away.
        const level = database.status().ready ? "warn" : "debug";
        log[level]({ err: error }, "task of the sessions failed, retrying");
      };
      const dispatchTask = createPeriodicTask({
        name: "dispatch-queued-turns",
        periodMs: timing.dispatchPeriodMs,
        run: dispatch,
        onError,
      });
      const recoverTask = createPeriodicTask({
        name: "recover-lost-turns",
        periodMs: timing.recoverPeriodMs,
        run: recovery.run,
        onError(error) {
          recovery.failed();
          onError(error);
        },
      });
      const followTask = createPeriodicTask({
        name: "follow-remote-turns",
        periodMs: timing.followPeriodMs,
        run: follow,
        onError: (error) => log.debug({ err: error }, "turns of other gateways not read"),
      });
      tasks.push(dispatchTask, recoverTask, followTask);
      subscription = database.listen(
        SESSIONS_CHANNEL,
        (payload) => onNotice(parseNotice(payload)),
        () => dispatchTask.poke(),
      );
    },
    async close() {
      closing = true;
      subscription?.close();
      dispatcher.close();
      hub.close();
      await Promise.all(tasks.map((task) => task.stop()));
      await endEvents.close();
    },
    counts: () => ({ live: live.size, subscribers: hub.subscribers() }),

    reconcileTurns,
    linkReady: dispatcher.linkReady,
    turnAccepted: dispatcher.accepted,
    turnRefused: dispatcher.refused,
    ingestStatements: ingest.statements,
    ingested: ingest.ingested,
    senderOf(turnId, agentId) {
      const turn = live.get(turnId);
      return turn?.agentId === agentId ? turn.sender : "";
    },
    ephemeral: (items) => ingest.ephemeral(items),
    readTranscript: (agentIds, sessionId, afterPosition) =>
      listEntriesForAgents(database, agentIds, sessionId, afterPosition, TRANSCRIPT_PAGE),
  };
}
