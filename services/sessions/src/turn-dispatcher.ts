import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Database } from "@openhermit/postgres";
import { RefusalReason, RunTurnSchema } from "@openhermit/protocol/mesh/v1/link_service";
import { TurnState, type TurnError } from "@openhermit/protocol/sessions/v1/session";
import type { Log } from "@openhermit/telemetry";
import type { LiveTurn, LiveTurns } from "./live-turns.ts";
import type { Serial } from "./serial.ts";
import { outboxFull, turnCancelled, turnInterrupted } from "./sessions-errors.ts";
import type { SessionsPorts } from "./sessions-ports.ts";
import type { SessionsTiming } from "./timing.ts";
import type { TurnEndEvents } from "./turn-end-events.ts";
import type { TurnHub } from "./turn-hub.ts";
import type { TurnRecord } from "./turn-record.ts";
import type { ClaimedTurn, LossErrors } from "./turn-row-store.ts";
import { claimTurns, failOffer, giveBackOffers, repeatOffers, type TurnAttempt } from "./turn-store.ts";
import { isUnderWay } from "./turn.ts";

/** How many turns are claimed at once; the next are claimed when a sidecar has accepted one of them. */
const CLAIM_LIMIT = 64;

/** What is written down of turns whose sidecar is gone. */
export const LOSS_ERRORS: LossErrors = {
  cancelled: turnCancelled("the turn was cancelled"),
  interrupted: turnInterrupted(),
};

/** A message that is just being stored. */
export interface Sending {
  readonly turnId: string;
  readonly agentId: string;
  /** How often a sidecar of the agent had attached when the storing began. */
  readonly attaches: number;
}

/** Brings turns to sidecars: from the queue, one of each session, and again when an offer was lost. */
export interface TurnDispatcher {
  /** Whether a new turn of the agent can be offered at once, as far as the agent goes. */
  canOffer(agentId: string): boolean;
  /** A message is about to be stored; {@link sent} or {@link notSent} follows. */
  sending(turnId: string, agentId: string): Sending;
  /** Whether no sidecar of the agent has attached since: if one has, it may have been told already that the turn is not its own. */
  isCurrent(sending: Sending): boolean;
  /** The message is stored as this new turn: it is offered in this tick, or waits in the queue. */
  sent(sending: Sending, record: TurnRecord): void;
  /** The message did not become a new turn, or that is not known. */
  notSent(sending: Sending): void;
  /** A sidecar has taken a turn into its ledger, or has shown that it had. */
  accepted(turnId: string, attempt: number): void;
  refused(turnId: string, attempt: number, reason: RefusalReason, detail: string): void;
  /** Turns as they are stored now: shown, and taken out of hand when they have ended, wait, or run through another gateway. */
  settle(records: readonly TurnRecord[]): void;
  /**
   * Turns that a statement of this gateway has just changed, as it returned them: settled, and ends among them are recorded in the
   * activity log. Every end that is not a sidecar's passes here, once: of gateways that race only one has changed the row.
   */
  changed(records: readonly TurnRecord[]): void;
  /** The end of a turn in hand is stored and shown. */
  ended(live: LiveTurn): void;
  /** Turns that a sidecar which attaches brings along. */
  adopt(turns: readonly ClaimedTurn[]): void;
  /** A sidecar of these agents attaches: what was stored before may not be offered any more without a look at the database. */
  attaching(agentIds: readonly string[]): void;
  /** Turns of these agents may be offered. */
  linkReady(agentIds: readonly string[]): void;
  /** There may be queued turns of these agents. */
  wake(agentIds: readonly string[]): void;
  /** Makes offers again that were not accepted in time, or gives them back when the link is gone. */
  repeatOverdue(): Promise<void>;
  /** A turn under way was asked to end: tells its sidecar, now or when it is offered or attached. False when it is not linked here. */
  passCancel(turn: { readonly turnId: string; readonly agentId: string }, reason: string): boolean;
  /** The turns that are just being stored. */
  sendingIds(): string[];
  close(): void;
}

/** Creates a dispatcher. */
export function createTurnDispatcher(options: {
  database: Database;
  gatewayId: string;
  ports: SessionsPorts;
  hub: TurnHub;
  live: LiveTurns;
  endEvents: Pick<TurnEndEvents, "record">;
  /** For statements whose results must reach the memory in the order of their commits. */
  serial: Serial;
  timing: SessionsTiming;
  /** Called with the agent of a queued turn that can't be offered from here. */
  onUnlinked(agentId: string): void;
  now(): number;
  log: Log;
}): TurnDispatcher {
  const { database, gatewayId, ports, hub, live, serial, endEvents, timing, now, log } = options;
  const sendings = new Set<Sending>();
  const attaches = new Map<string, number>();
  /** Sessions that may have queued turns which the end of another turn lets run. */
  const waiting = new Set<string>();
  /** Until when agents are not offered turns, because they refused one. */
  const pausedUntil = new Map<string, number>();
  /** Agents of which more turns are queued than were claimed. */
  const hungry = new Set<string>();
  /** Turns under way that were asked to end. */
  const cancels = new Map<string, string>();
  /** Offers that are to be given back, in one statement. */
  const returning: TurnAttempt[] = [];
  const wokenAgents = new Set<string>();
  const wokenSessions = new Map<string, string>();
  /** How many turns have ended of agents that take no more for now: so many may be offered. */
  const freedPlaces = new Map<string, number>();
  let claiming = false;
  let closed = false;

  const canOffer = (agentId: string): boolean => {
    if (!ports.hasLink(agentId)) return false;
    const until = pausedUntil.get(agentId);
    if (until !== undefined && until > now()) return false;
    pausedUntil.delete(agentId);
    return true;
  };

  const pause = (agentId: string): void => void pausedUntil.set(agentId, now() + timing.refusedPauseMs);

  const isCurrent = ({ agentId, attaches: before }: Sending): boolean => (attaches.get(agentId) ?? 0) === before;

  const release = (turnId: string): void => {
    live.remove(turnId);
    cancels.delete(turnId);
    hub.release(turnId);
  };

  const offer = ({ record, transcriptHead }: ClaimedTurn): void => {
    const { turn, userId, channel, traceparent, createTime } = record;
    const { id: turnId, attempt, agentId, sessionId, message } = turn;
    live.add(record, now(), false);
    hub.hold(turn, transcriptHead);
    const request = create(RunTurnSchema, {
      turnId,
      attempt,
      agentId,
      sessionId,
      message,
      userId,
      channel,
      transcriptHead,
      traceparent,
      createTime: timestampFromDate(createTime),
    });
    if (!ports.offerTurn(agentId, request)) {
      // Attached and not ready yet, or draining.
      pause(agentId);
      return giveBack({ turnId, attempt });
    }
    const reason = cancels.get(turnId);
    if (reason !== undefined) ports.cancelTurn(agentId, turnId, reason);
  };

  /** Until that is stored the turn stays in hand, so a failure is found as an offer that is overdue. */
  const giveBack = (offered: TurnAttempt): void => {
    returning.push(offered);
    if (returning.length > 1) return;
    serial(async () => changed(await giveBackOffers(database, returning.splice(0), LOSS_ERRORS))).catch(
      (error: unknown) => log.warn({ err: error }, "offers not given back"),
    );
  };

  const settle = (records: readonly TurnRecord[]): void => {
    for (const record of records) {
      const { id: turnId, sessionId, agentId, state } = record.turn;
      // Shown first: the end lets go of the channel.
      hub.show(record.turn);
      const underWay = isUnderWay(state);
      if (underWay && record.gatewayId === gatewayId) continue;
      release(turnId);
      if (underWay) continue;
      if (state === TurnState.QUEUED && ports.hasLink(agentId)) waiting.add(sessionId);
      if (waiting.has(sessionId)) wokenSessions.set(sessionId, agentId);
    }
    claimSoon();
  };

  const changed = (records: readonly TurnRecord[]): void => {
    settle(records);
    endEvents.record(records);
  };

  const hasWork = (): boolean => wokenAgents.size + wokenSessions.size + freedPlaces.size > 0;

  const claimOnce = async (): Promise<void> => {
    const freed = [...freedPlaces].filter(([agentId]) => ports.hasLink(agentId));
    freedPlaces.clear();
    const agentIds = [...wokenAgents].filter(canOffer);
    wokenAgents.clear();
    const sessions = [...wokenSessions].filter(([, agentId]) => canOffer(agentId));
    wokenSessions.clear();
    if (sessions.length > 0) {
      const sessionIds = sessions.map(([sessionId]) => sessionId);
      for (const sessionId of sessionIds) waiting.delete(sessionId);
      const agents = [...new Set(sessions.map(([, agentId]) => agentId))];
      for (const turn of await claimTurns(database, gatewayId, agents, sessionIds, sessionIds.length)) take(turn);
      // What waits behind a turn in hand is found at its end.
      for (const sessionId of sessionIds) if (live.hasSession(sessionId)) waiting.add(sessionId);
    }
    for (const [agentId, places] of freed) {
      for (const turn of await claimTurns(database, gatewayId, [agentId], undefined, places)) take(turn);
    }
    if (agentIds.length > 0) {
      const claimed = await claimTurns(database, gatewayId, agentIds, undefined, CLAIM_LIMIT);
      for (const turn of claimed) take(turn);
      if (claimed.length === CLAIM_LIMIT) for (const agentId of agentIds) hungry.add(agentId);
    }
  };

  const take = (claimed: ClaimedTurn): void => {
    // More may be queued behind it.
    waiting.add(claimed.record.turn.sessionId);
    offer(claimed);
  };

  const claim = async (): Promise<void> => {
    try {
      while (!closed && hasWork()) await serial(claimOnce);
    } catch (error) {
      // The periodic task finds what is queued.
      log.warn({ err: error }, "queued turns not claimed");
    } finally {
      claiming = false;
    }
  };

  const claimSoon = (): void => {
    if (claiming || closed || !hasWork()) return;
    claiming = true;
    void claim();
  };

  const fail = (offered: TurnAttempt, error: TurnError): void => {
    serial(async () => {
      const record = await failOffer(database, offered, error);
      if (record !== undefined) changed([record]);
    }).catch((failure: unknown) => log.warn({ err: failure, turn_id: offered.turnId }, "turn not failed"));
  };

  return {
    canOffer,
    sending(turnId, agentId) {
      const sending = { turnId, agentId, attaches: attaches.get(agentId) ?? 0 };
      sendings.add(sending);
      return sending;
    },
    isCurrent,
    notSent: (sending) => void sendings.delete(sending),
    sent(sending, record) {
      sendings.delete(sending);
      const { id: turnId, agentId, sessionId, state, attempt } = record.turn;
      if (state === TurnState.OFFERED) {
        if (isCurrent(sending)) offer({ record, transcriptHead: record.basePosition });
        else giveBack({ turnId, attempt });
        return;
      }
      hub.show(record.turn);
      if (!ports.hasLink(agentId)) return options.onUnlinked(agentId);
      waiting.add(sessionId);
      // When a turn of the session is in hand its end comes later, and finds this one.
      if (live.hasSession(sessionId)) return;
      wokenSessions.set(sessionId, agentId);
      claimSoon();
    },

    accepted(turnId, attempt) {
      const turn = live.get(turnId);
      if (turn === undefined || turn.accepted || turn.attempt !== attempt) return;
      turn.accepted = true;
      if (hungry.delete(turn.agentId)) {
        wokenAgents.add(turn.agentId);
        claimSoon();
      }
    },
    refused(turnId, attempt, reason, detail) {
      const turn = live.get(turnId);
      if (turn === undefined || turn.attempt !== attempt) return;
      log.debug({ turn_id: turnId, agent_id: turn.agentId, reason, detail }, "turn refused");
      if (reason === RefusalReason.OUTBOX_FULL) return fail({ turnId, attempt }, outboxFull(turn.agentId, detail));
      pause(turn.agentId);
      giveBack({ turnId, attempt });
    },

    settle,
    changed,
    ended(turn) {
      const { turnId, agentId, sessionId } = turn;
      release(turnId);
      if (waiting.has(sessionId)) wokenSessions.set(sessionId, agentId);
      if (pausedUntil.has(agentId)) freedPlaces.set(agentId, (freedPlaces.get(agentId) ?? 0) + 1);
      claimSoon();
    },

    adopt(turns) {
      for (const { record, transcriptHead } of turns) {
        live.add(record, now(), true);
        hub.hold(record.turn, transcriptHead).resume();
        waiting.add(record.turn.sessionId);
        if (record.cancelReason !== undefined) cancels.set(record.turn.id, record.cancelReason);
      }
    },
    attaching(agentIds) {
      for (const agentId of agentIds) attaches.set(agentId, (attaches.get(agentId) ?? 0) + 1);
    },
    linkReady(agentIds) {
      for (const agentId of agentIds) {
        pausedUntil.delete(agentId);
        wokenAgents.add(agentId);
      }
      for (const [turnId, reason] of cancels) {
        const turn = live.get(turnId);
        if (turn !== undefined && agentIds.includes(turn.agentId)) ports.cancelTurn(turn.agentId, turnId, reason);
      }
      claimSoon();
    },
    wake(agentIds) {
      for (const agentId of agentIds) wokenAgents.add(agentId);
      claimSoon();
    },

    async repeatOverdue() {
      const before = now() - timing.acceptMs;
      const overdue = [...live.all()].filter((turn) => !turn.accepted && turn.offeredAt <= before);
      if (overdue.length === 0) return;
      await serial(async () => {
        const stale = overdue.filter((turn) => !turn.accepted && live.get(turn.turnId) === turn);
        const linked = stale.filter((turn) => ports.hasLink(turn.agentId));
        const unlinked = stale.filter((turn) => !ports.hasLink(turn.agentId));
        if (linked.length > 0) for (const turn of await repeatOffers(database, gatewayId, linked)) offer(turn);
        if (unlinked.length > 0) changed(await giveBackOffers(database, unlinked, LOSS_ERRORS));
      });
    },
    passCancel({ turnId, agentId }, reason) {
      if (live.get(turnId) !== undefined || [...sendings].some((sending) => sending.turnId === turnId)) {
        cancels.set(turnId, reason);
      }
      return ports.cancelTurn(agentId, turnId, reason);
    },
    sendingIds: () => [...sendings].map((sending) => sending.turnId),
    close() {
      closed = true;
    },
  };
}
