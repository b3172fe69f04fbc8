import {
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type Client,
  type Interceptor,
} from "@connectrpc/connect";
import type { Caller, Change, RecordChanges } from "@openhermit/caller";
import { MeshError } from "@openhermit/errors";
import { create } from "@bufbuild/protobuf";
import type { Event } from "@openhermit/protocol/activity/v1/event";
import type { RunTurn } from "@openhermit/protocol/mesh/v1/link_service";
import { joinSql, rawSql, sql, type Database } from "@openhermit/postgres";
import { DisconnectPolicy, type Turn, type TurnEvent } from "@openhermit/protocol/sessions/v1/session";
import { SendMessageRequestSchema, SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import { testCaller, testLog, type TestLog } from "@openhermit/testing";
import { createSessionsService } from "../sessions-service.ts";
import type { SessionsService, TurnBatch } from "../sessions-ports.ts";
import type { SessionsTiming } from "../timing.ts";

/** What a gateway sees of a sidecar. */
export interface LinkedSidecar {
  readonly agentIds: readonly string[];
  /** Everything it was offered, oldest first. */
  readonly offers: RunTurn[];
  /** The turns it was asked to end. */
  readonly cancels: { turnId: string; reason: string }[];
  /** Whether offers are lost on the way, as on a link that has just broken. */
  deaf: boolean;
}

/** One gateway's sessions service, with a mesh side made of simulated sidecars. */
export interface TestGateway {
  readonly service: SessionsService;
  readonly client: Client<typeof SessionService>;
  /** What fleet says of agents; `ready` unless set. */
  readonly agentStates: Map<string, "unknown" | "stopped">;
  /** Who makes the calls from now on; reaches all unless set. */
  caller: Caller;
  /** The errors of refused calls, oldest first. */
  readonly refusals: MeshError[];
  /** What was audited, oldest first. */
  readonly changes: Change[];
  /** What was written to the activity log, oldest first. */
  readonly events: Event[];
  readonly log: TestLog;
  link(sidecar: LinkedSidecar): void;
  unlink(sidecar: LinkedSidecar): void;
  /** Stores the statements of the batch as one statement, as the mesh does, and tells of it. */
  flush(batch: TurnBatch): Promise<void>;
  /** Only stores. */
  commit(batch: TurnBatch): Promise<void>;
  close(): Promise<void>;
}

/** Long periods: nothing happens by itself unless a test says so. */
export const QUIET: Partial<SessionsTiming> = {
  dispatchPeriodMs: 600_000,
  recoverPeriodMs: 600_000,
  followPeriodMs: 600_000,
};

let gateways = 0;

/** As the gateway's interceptor does, only that the reason is the whole message. */
const sayReasons =
  (refusals: MeshError[]): Interceptor =>
  (next) =>
  async (request) => {
    const reasonOf = (error: unknown): unknown => {
      if (!(error instanceof MeshError)) return error;
      refusals.push(error);
      return new ConnectError(error.reason, Code.Unknown);
    };
    const response = await next(request).catch((error: unknown) => {
      throw reasonOf(error);
    });
    if (!response.stream) return response;
    const { message } = response;
    async function* mapped(): AsyncGenerator<typeof message extends AsyncIterable<infer T> ? T : never> {
      try {
        yield* message;
      } catch (error) {
        throw reasonOf(error);
      }
    }
    return { ...response, message: mapped() };
  };

/** Creates a gateway on the database; `start` the service for its tasks. */
export function testGateway(options: {
  database: Database;
  timing?: Partial<SessionsTiming>;
  now?: () => number;
  /** Called within the transaction of what is audited. */
  audit?: RecordChanges;
  /** Called before events are taken into `events`. */
  beforeEvents?: () => Promise<void>;
}): TestGateway {
  const { database, timing = {}, now, audit, beforeEvents } = options;
  const log = testLog();
  const events: Event[] = [];
  const refusals: MeshError[] = [];
  const links = new Set<LinkedSidecar>();
  const agentStates = new Map<string, "unknown" | "stopped">();
  const hosting = (agentId: string): LinkedSidecar | undefined =>
    [...links].findLast((sidecar) => sidecar.agentIds.includes(agentId));
  gateways += 1;
  const service = createSessionsService({
    database,
    log,
    caller: () => gateway.caller,
    audit: () => async (tx, list) => {
      await audit?.(tx, list);
      gateway.changes.push(...list);
    },
    gatewayId: `gateway-${gateways}`,
    timing,
    ...(now === undefined ? {} : { now }),
    ports: {
      agentForTurn: (agentId) => ({ state: agentStates.get(agentId) ?? "ready" }),
      hasLink: (agentId) => hosting(agentId) !== undefined,
      offerTurn(agentId, turn) {
        const sidecar = hosting(agentId);
        if (sidecar === undefined) return false;
        if (!sidecar.deaf) sidecar.offers.push(turn);
        return true;
      },
      cancelTurn(agentId, turnId, reason) {
        const sidecar = hosting(agentId);
        sidecar?.cancels.push({ turnId, reason });
        return sidecar !== undefined;
      },
      async recordEvents(list) {
        await beforeEvents?.();
        events.push(...list);
      },
    },
  });
  const commit = async (batch: TurnBatch): Promise<void> => {
    const parts = service.ingestStatements(batch);
    const fragments = parts.flatMap((part, i) => [
      rawSql(`${i === 0 ? "WITH" : ","} part_${i} AS (`),
      part,
      rawSql(")"),
    ]);
    await database.query(joinSql([...fragments, sql` SELECT 1`], ""));
  };
  const gateway: TestGateway = {
    caller: testCaller("operator"),
    changes: [],
    service,
    client: createClient(
      SessionService,
      createRouterTransport((router) => service.routes(router), { router: { interceptors: [sayReasons(refusals)] } }),
    ),
    agentStates,
    refusals,
    events,
    log,
    link: (sidecar) => void links.add(sidecar),
    unlink: (sidecar) => void links.delete(sidecar),
    commit,
    async flush(batch) {
      await commit(batch);
      service.ingested(batch);
    },
    async close() {
      await service.close();
    },
  };
  return gateway;
}

/** A stream of a turn that is read as fast as it comes. */
export interface WatchedTurn {
  readonly events: TurnEvent[];
  /** The newest state. */
  turn(): Turn | undefined;
  /** Resolves with all events; rejects as the stream does. */
  readonly done: Promise<TurnEvent[]>;
  /** Leaves. */
  leave(): void;
}

/** Reads a stream to its end in the background. */
export function watch(
  open: (options: { signal: AbortSignal }) => AsyncIterable<{ event?: TurnEvent | undefined }>,
): WatchedTurn {
  const events: TurnEvent[] = [];
  const leaving = new AbortController();
  let turn: Turn | undefined;
  const done = (async () => {
    for await (const { event } of open({ signal: leaving.signal })) {
      if (event === undefined) continue;
      events.push(event);
      if (event.event.case === "turn") turn = event.event.value;
    }
    return events;
  })();
  done.catch(() => undefined);
  return { events, done, turn: () => turn, leave: () => leaving.abort() };
}

/** Sends a message and reads its stream. */
export function send(
  gateway: TestGateway,
  agentId: string,
  message: string,
  options: { sessionId?: string; chatId?: string; requestId?: string; cancelOnLeave?: boolean } = {},
): WatchedTurn {
  const { sessionId, chatId, requestId = "", cancelOnLeave = false } = options;
  const chat = { platform: "test", chatType: "dm", chatId: chatId ?? "", threadId: "" };
  const request = create(SendMessageRequestSchema, {
    agentId,
    message,
    requestId,
    onDisconnect: cancelOnLeave ? DisconnectPolicy.CANCEL : DisconnectPolicy.UNSPECIFIED,
    conversation:
      sessionId !== undefined
        ? { case: "sessionId", value: sessionId }
        : chatId !== undefined
          ? { case: "chat", value: chat }
          : { case: undefined },
  });
  return watch((call) => gateway.client.sendMessage(request, call));
}

/** The names of the states of turns, by their numbers. */
export const STATES = ["?", "QUEUED", "OFFERED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "INTERRUPTED"] as const;

/** The events in short: `turn:RUNNING/1`, `delta:text`, `snapshot:text`, `step:text`, `result:text`, `call:id`. */
export function brief(events: readonly TurnEvent[]): string[] {
  return events.map(({ event }) => {
    switch (event.case) {
      case "turn":
        return `turn:${STATES[event.value.state]}/${event.value.attempt}`;
      case "textDelta":
        return `delta:${event.value.text}`;
      case "textSnapshot":
        return `snapshot:${event.value.text}`;
      case "assistantMessage":
        return `step:${event.value.text}`;
      case "toolResult":
        return `result:${event.value.text}`;
      case "toolCall":
        return `call:${event.value.callId}`;
      case "reasoningDelta":
        return `reasoning:${event.value.text}`;
      case undefined:
        return "nothing";
    }
  });
}
