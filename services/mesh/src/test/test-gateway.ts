import { createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createContextKey, type Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { callerName, type Caller, type Change, type RecordChanges } from "@openhermit/caller";
import { MeshError, unauthenticated, type ErrorCode } from "@openhermit/errors";
import { sql, type Database } from "@openhermit/postgres";
import { SnapshotSchema, type Snapshot } from "@openhermit/protocol/mesh/v1/snapshot";
import type { Ephemeral } from "@openhermit/protocol/mesh/v1/outbox";
import { testLog, type TestLog } from "@openhermit/testing";
import {
  createMeshService,
  type AttachedLink,
  type DetachedLink,
  type IngestBatch,
  type MeshPorts,
  type MeshService,
  type SnapshotAnswer,
} from "../index.ts";

const CALLER = createContextKey<Caller>({ kind: "anonymous" });

const CODES: Record<ErrorCode, Code> = {
  not_found: Code.NotFound,
  already_exists: Code.AlreadyExists,
  invalid_argument: Code.InvalidArgument,
  failed_precondition: Code.FailedPrecondition,
  conflict: Code.Aborted,
  permission_denied: Code.PermissionDenied,
  unauthenticated: Code.Unauthenticated,
  resource_exhausted: Code.ResourceExhausted,
  unavailable: Code.Unavailable,
};

/** The neighbours of the mesh service: they keep what they are told, and store entries in a table of their own. */
export interface Neighbours {
  readonly ports: MeshPorts;
  /** The generation of each agent's snapshot; an agent that is not here is not hosted any more. */
  readonly generations: Map<string, bigint>;
  readonly attached: AttachedLink[];
  readonly detached: DetachedLink[];
  readonly answers: SnapshotAnswer[];
  readonly ready: string[];
  readonly ingested: string[];
  readonly ephemeral: Ephemeral[];
  readonly turnSignals: string[];
  dead: string[];
  compileCalls: number;
}

/** Creates the table that stands for the tables of the other domains. It has no key, so a double entry shows. */
export async function createEntriesTable(database: Database): Promise<void> {
  await database.query(sql`CREATE TABLE IF NOT EXISTS public.stored_entries (who text NOT NULL, what text NOT NULL)`);
}

/** What is stored, in any order. */
export async function storedEntries(database: Database, who: string): Promise<string[]> {
  const { rows } = await database.query<{ what: string }>(
    sql`SELECT what FROM public.stored_entries WHERE who = ${who} ORDER BY what`,
  );
  return rows.map((row) => row.what);
}

function rowsOf(batch: IngestBatch): { who: string; what: string }[] {
  return [
    ...batch.events.map(({ sidecarId, event }) => ({ who: sidecarId, what: event.id })),
    ...batch.entries.map((entry) => ({ who: entry.sessionId, what: `${entry.turnId}@${entry.position}` })),
    ...batch.turnChanges.map((change) => ({ who: change.turnId, what: `${change.attempt}:${change.state}` })),
  ];
}

/** Creates neighbours that host whatever is in `generations`. */
export function createNeighbours(): Neighbours {
  const neighbours: Neighbours = {
    generations: new Map(),
    attached: [],
    detached: [],
    answers: [],
    ready: [],
    ingested: [],
    ephemeral: [],
    turnSignals: [],
    dead: [],
    compileCalls: 0,
    ports: {
      async compileSnapshots(agentIds) {
        neighbours.compileCalls += 1;
        return agentIds.flatMap((agentId): Snapshot[] => {
          const generation = neighbours.generations.get(agentId);
          return generation === undefined ? [] : [create(SnapshotSchema, { agentId, generation })];
        });
      },
      async readBundle() {
        return undefined;
      },
      async mayJoinExternally() {},
      async sidecarAttached(link) {
        neighbours.attached.push(link);
      },
      async sidecarDetached(link) {
        neighbours.detached.push(link);
      },
      async snapshotAnswered(answer) {
        neighbours.answers.push(answer);
      },
      async healthReported() {},
      async reconcileTurns() {
        return { deadTurnIds: neighbours.dead };
      },
      linkReady(agentIds) {
        neighbours.ready.push(...agentIds);
      },
      turnAccepted: (turnId, attempt) => void neighbours.turnSignals.push(`accepted ${turnId} ${attempt}`),
      turnRefused: (turnId, attempt) => void neighbours.turnSignals.push(`refused ${turnId} ${attempt}`),
      ingestStatements(batch) {
        const rows = rowsOf(batch);
        return [
          sql`INSERT INTO public.stored_entries SELECT * FROM
            unnest(${rows.map((row) => row.who)}::text[], ${rows.map((row) => row.what)}::text[])`,
        ];
      },
      ingested(batch) {
        for (const { who, what } of rowsOf(batch)) neighbours.ingested.push(`${who} ${what}`);
      },
      ephemeral: (items) => void neighbours.ephemeral.push(...items),
      async readTranscript() {
        return { entries: [], more: false };
      },
    },
  };
  return neighbours;
}

/** A mesh service behind a real h2c listener, with the gateway's authentication and error mapping in short. */
export interface TestGateway {
  readonly url: string;
  readonly mesh: MeshService;
  readonly neighbours: Neighbours;
  readonly log: TestLog;
  /** The audit trail: who changed what. */
  readonly trail: (Change & { by: string })[];
  /** Breaks every connection, as a crash of the network would. */
  breakConnections(): void;
  stop(): Promise<void>;
}

/** Starts a gateway on a free port. */
export async function startTestGateway(options: {
  database: Database;
  gatewayId?: string;
  heartbeatMs?: number;
  leaseMs?: number;
  ports?: Partial<MeshPorts>;
  /** Who calls with the header `x-test-caller`, by its value. */
  people?: Readonly<Record<string, Caller>>;
}): Promise<TestGateway> {
  const trail: TestGateway["trail"] = [];
  const { database, gatewayId = "gateway-a", heartbeatMs = 5000, leaseMs = 20_000 } = options;
  const log = testLog();
  const neighbours = createNeighbours();
  const recordAs =
    (by: string): RecordChanges =>
    async (tx, changes) => {
      // A statement of the transaction, as a trail writes one.
      await tx.query(sql`SELECT`);
      trail.push(...changes.map((change) => ({ ...change, by })));
    };
  const mesh = createMeshService({
    database,
    log,
    gatewayId,
    caller: (context) => context.values.get(CALLER),
    audit: (context) => recordAs(callerName(context.values.get(CALLER))),
    auditOfSidecar: (_, sidecarId) => recordAs(`sidecar:${sidecarId}`),
    ports: { ...neighbours.ports, ...options.ports },
    heartbeatMs,
    leaseMs,
  });
  const adapter = connectNodeAdapter({
    routes: (router) => mesh.routes(router),
    interceptors: [mapErrors, authenticate(mesh, options.people ?? {})],
  });
  const server = createServer(adapter);
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  await mesh.start();
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    mesh,
    neighbours,
    log,
    trail,
    breakConnections: () => sessions.forEach((session) => session.destroy()),
    async stop() {
      await mesh.close();
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const toConnect = (error: unknown): unknown =>
  error instanceof MeshError
    ? new ConnectError(error.message, CODES[error.code], { reason: error.reason }, undefined, error)
    : error;

const mapErrors: Interceptor = (next) => async (request) => {
  try {
    const response = await next(request);
    if (!response.stream) return response;
    return { ...response, message: mapStream(response.message) };
  } catch (error) {
    throw toConnect(error);
  }
};

async function* mapStream<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw toConnect(error);
  }
}

function authenticate(mesh: MeshService, people: Readonly<Record<string, Caller>>): Interceptor {
  return (next) => async (request) => {
    const person = people[request.header.get("x-test-caller") ?? ""];
    if (person !== undefined) request.contextValues.set(CALLER, person);
    const token = request.header.get("authorization")?.replace(/^Bearer /, "");
    if (token !== undefined) {
      const sidecar = await mesh.verifyAccessToken(token);
      if (sidecar === undefined) throw unauthenticated("TOKEN_INVALID", "the access token is not valid");
      request.contextValues.set(CALLER, { kind: "sidecar", ...sidecar });
    }
    return await next(request);
  };
}
