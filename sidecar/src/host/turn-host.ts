import { create } from "@bufbuild/protobuf";
import { MeshError, toError } from "@openhermit/errors";
import {
  RefusalReason,
  TurnAcceptedSchema,
  TurnRefusedSchema,
  type RunTurn,
} from "@openhermit/protocol/mesh/v1/link_service";
import type { Log } from "@openhermit/telemetry";

import type { Ledger } from "../ledger/ledger-store.ts";
import type { LinkMessage } from "../link/link.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { TurnJournal, TurnOutcome } from "../runtime/turn-journal.ts";
import type { HostedAgent } from "./hosted-agent.ts";
import { settleTurn } from "./recovery.ts";
import type { TranscriptFetch } from "./transcript-fetch.ts";
import { repeatTurnEnd } from "./turn-end.ts";
import { cancelledOutcome, defaultError, failedOutcome, withPatience } from "./turn-outcome.ts";
import { createTurnRecord, type TurnRecord } from "./turn-record.ts";

/** The turns of this sidecar, from the offer to the end. */
export interface TurnHost {
  /** Takes an offer: accepts or refuses it. The same turn and attempt is run once, however often it is offered. */
  offer(request: RunTurn): void;
  /** Ends a turn that runs, as cancelled. */
  cancel(turnId: string, reason: string): void;
  /** Ends the turns of an agent that is not hosted here any more, as cancelled. */
  cancelAgent(agentId: string): void;
  /** Stops turns that belong to somebody else now; nothing more of them is written. */
  disown(turnIds: ReadonlySet<string> | "all"): void;
  /** Takes no more turns. */
  close(): void;
  /** Resolves when no turn runs, or when the signal aborts. */
  idle(signal: AbortSignal): Promise<void>;
  /** Stops what still runs and settles it in the ledger: interrupted if a tool had started, else to be offered again. */
  settle(): void;
  /** How many turns run. */
  count(): number;
}

/** What a turn host needs. */
export interface TurnHostOptions {
  ledger: Ledger;
  outbox: Outbox;
  fetch: TranscriptFetch;
  agent: (agentId: string) => HostedAgent | undefined;
  send: (message: LinkMessage) => boolean;
  log: Log;
}

interface HostedTurn {
  readonly request: RunTurn;
  readonly record: TurnRecord;
  readonly controller: AbortController;
  accepted: boolean;
  cancelReason: string;
}

const DEFAULT_CONCURRENT_TURNS = 64;
const END_RETRY_MS = 1000;

/** Makes a host without turns. */
export function createTurnHost(options: TurnHostOptions): TurnHost {
  const { ledger, outbox, fetch, agent: agentOf, send, log } = options;
  const turns = new Map<string, HostedTurn>();
  const sessions = new Set<string>();
  const idleWaiters = new Set<() => void>();
  let closed = false;

  const sayAccepted = (turnId: string, attempt: number): void => {
    send({ case: "turnAccepted", value: create(TurnAcceptedSchema, { turnId, attempt }) });
  };
  const refuse = ({ turnId, attempt }: RunTurn, reason: RefusalReason, detail: string): void => {
    log.info({ turn_id: turnId, reason, detail }, "turn refused");
    send({ case: "turnRefused", value: create(TurnRefusedSchema, { turnId, attempt, reason, detail }) });
  };

  /** Deals with an offer of a turn that is known here; false for one that is not. */
  const isKnown = ({ turnId, attempt }: RunTurn): boolean => {
    const turn = turns.get(turnId);
    if (turn !== undefined) {
      // It runs on as the newer attempt: what its tools did must not be done again.
      if (turn.accepted && attempt > turn.record.attempt) turn.record.adopt(attempt);
      if (turn.accepted && attempt === turn.record.attempt) sayAccepted(turnId, attempt);
      return true;
    }
    const row = ledger.turns.get(turnId);
    if (row?.terminal === undefined) return false;
    if (attempt > row.attempt) repeatTurnEnd(ledger, row.terminal, attempt);
    sayAccepted(turnId, attempt);
    return true;
  };

  const refusal = (request: RunTurn): [RefusalReason, string] | undefined => {
    const { agentId, sessionId } = request;
    const agent = agentOf(agentId);
    if (closed) return [RefusalReason.DRAINING, "the sidecar is stopping"];
    if (agent === undefined) return [RefusalReason.NOT_READY, `agent "${agentId}" is not hosted here`];
    if (sessions.has(sessionId)) return [RefusalReason.BUSY, "another turn of the session is running"];
    const limit = agent.snapshot?.spec?.turnLimits?.maxConcurrentTurns ?? DEFAULT_CONCURRENT_TURNS;
    let running = 0;
    for (const turn of turns.values()) if (turn.request.agentId === agentId) running += 1;
    if (running >= limit) return [RefusalReason.BUSY, `agent "${agentId}" runs ${running} turns already`];
    if (outbox.level() === "full") {
      return [RefusalReason.OUTBOX_FULL, "the sidecar's outbox has reached its bound; it drains through the gateway"];
    }
    const problem = ledger.problem();
    return problem === undefined
      ? undefined
      : [RefusalReason.OUTBOX_FULL, `the sidecar can't write: ${problem.message}`];
  };

  /** Accepts and begins, in one transaction where nothing has to be fetched first. */
  const begin = async (turn: HostedTurn): Promise<TurnJournal | undefined> => {
    const { request, record, controller } = turn;
    const { sessionId, transcriptHead } = request;
    const head = Number(transcriptHead);
    const behind = ledger.transcripts.tail(sessionId) < head;
    let journal: TurnJournal | undefined;
    try {
      ledger.transaction(() => {
        record.accept();
        if (!behind) journal = record.begin();
      });
    } catch (error) {
      log.error({ error, turn_id: request.turnId }, "turn not accepted");
      refuse(request, RefusalReason.OUTBOX_FULL, `the sidecar can't write: ${toError(error).message}`);
      return undefined;
    }
    turn.accepted = true;
    sayAccepted(request.turnId, request.attempt);
    if (journal === undefined) await fetch.fetch(sessionId, head, controller.signal);
    return journal ?? record.begin();
  };

  const work = async (turn: HostedTurn, agent: HostedAgent): Promise<TurnOutcome | undefined> => {
    const { request, record, controller } = turn;
    if (agent.applying !== undefined) await agent.applying;
    const { runtime } = agent;
    if (runtime === undefined || agent.snapshot === undefined) {
      refuse(request, RefusalReason.NOT_READY, `agent "${request.agentId}" has no usable snapshot`);
      return undefined;
    }
    try {
      const journal = await begin(turn);
      if (journal === undefined) return undefined;
      return await withPatience(
        controller.signal,
        runtime.runTurn({ ...request, attempt: record.attempt }, journal, controller.signal),
      );
    } catch (error) {
      if (controller.signal.aborted) return cancelledOutcome();
      log.error({ error, turn_id: request.turnId }, "turn failed in the host");
      return failedOutcome(error);
    }
  };

  const end = async ({ request, record, cancelReason }: HostedTurn, outcome: TurnOutcome): Promise<void> => {
    let ending = { ...outcome, error: outcome.error ?? defaultError(outcome.state, cancelReason) };
    while (!record.closed) {
      try {
        return record.end(ending);
      } catch (error) {
        log.error({ error, turn_id: request.turnId }, "end of a turn not written");
        if (error instanceof MeshError && error.reason === "ENTRY_TOO_LARGE") {
          ending = { ...failedOutcome(error), usage: outcome.usage, error: failedOutcome(error).error };
          continue;
        }
        // The disk is full or away: the turn has ended only when that is written.
        await new Promise((resolve) => setTimeout(resolve, END_RETRY_MS).unref());
      }
    }
  };

  const host = async (turn: HostedTurn, agent: HostedAgent): Promise<void> => {
    const { turnId, sessionId } = turn.request;
    turns.set(turnId, turn);
    sessions.add(sessionId);
    ledger.transcripts.pin(sessionId);
    try {
      const outcome = await work(turn, agent);
      if (outcome !== undefined) await end(turn, outcome);
    } finally {
      ledger.transcripts.unpin(sessionId);
      sessions.delete(sessionId);
      turns.delete(turnId);
      if (turns.size === 0) for (const wake of idleWaiters) wake();
    }
  };

  const abort = (turn: HostedTurn, reason: string): void => {
    turn.cancelReason ||= reason;
    turn.controller.abort();
  };

  return {
    offer(request) {
      try {
        if (isKnown(request)) return;
      } catch (error) {
        log.error({ error, turn_id: request.turnId }, "offer not answered");
        return;
      }
      const refused = refusal(request);
      const agent = agentOf(request.agentId);
      if (refused !== undefined || agent === undefined) return refuse(request, ...(refused ?? NOT_HERE));
      const record = createTurnRecord({ ledger, outbox, request });
      const turn = { request, record, controller: new AbortController(), accepted: false, cancelReason: "" };
      host(turn, agent).catch((error: unknown) => log.error({ error, turn_id: request.turnId }, "turn lost"));
    },
    cancel(turnId, reason) {
      const turn = turns.get(turnId);
      if (turn !== undefined) abort(turn, reason);
    },
    cancelAgent(agentId) {
      for (const turn of turns.values()) {
        if (turn.request.agentId === agentId) abort(turn, "the agent was removed from this sidecar");
      }
    },
    disown(turnIds) {
      for (const [turnId, turn] of turns) {
        if (turnIds !== "all" && !turnIds.has(turnId)) continue;
        turn.record.close();
        abort(turn, "the turn belongs to another sidecar");
      }
    },
    close() {
      closed = true;
    },
    idle: (signal) =>
      new Promise((resolve) => {
        if (turns.size === 0 || signal.aborted) return resolve();
        const done = (): void => {
          idleWaiters.delete(done);
          signal.removeEventListener("abort", done);
          resolve();
        };
        idleWaiters.add(done);
        signal.addEventListener("abort", done);
      }),
    settle() {
      for (const turn of turns.values()) {
        const wasClosed = turn.record.closed;
        turn.record.close();
        abort(turn, "the sidecar is stopping");
        const row = wasClosed ? undefined : ledger.turns.get(turn.request.turnId);
        if (row?.state === "open") ledger.closing(() => settleTurn(ledger, row));
      }
    },
    count: () => turns.size,
  };
}

const NOT_HERE: [RefusalReason, string] = [RefusalReason.NOT_READY, "the agent is not hosted here"];
