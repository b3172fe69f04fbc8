import { randomUUID, verify, createPublicKey } from "node:crypto";
import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";

import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampNow } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { EnrollmentService, type KeyProof } from "@openhermit/protocol/mesh/v1/enrollment_service";
import {
  AttachResponseSchema,
  LinkService,
  PublishResponseSchema,
  RunTurnSchema,
  TranscriptPageSchema,
  type AttachRequest,
  type AttachResponse,
  type Hello,
  type PublishRequest,
  type PublishResponse,
  type RunTurn,
} from "@openhermit/protocol/mesh/v1/link_service";
import type { Ephemeral, OutboxEntry, TurnChange } from "@openhermit/protocol/mesh/v1/outbox";
import { SnapshotSchema, type Snapshot } from "@openhermit/protocol/mesh/v1/snapshot";
import { ProviderKind } from "@openhermit/protocol/fleet/v1/agent";
import { TurnState, type TranscriptEntry } from "@openhermit/protocol/sessions/v1/session";

import { createMessageQueue, type MessageQueue } from "../link/message-queue.ts";
import { createTestBundles, type TestBundles } from "./test-bundles.ts";

type Said = Exclude<AttachRequest["message"], { case: undefined }>;

/** What a gateway remembers of one sidecar over all its attaches. */
export interface TestGateway {
  readonly url: string;
  readonly port: number;
  /** What the next Welcome and each attach do; change at will. */
  readonly script: {
    /** Acknowledge nothing while true. */
    withholdAcks: boolean;
    /** Store nothing while true: as if the database were away. */
    withholdStores: boolean;
    deadTurnIds: string[];
    /** Sent after each Welcome. */
    snapshots: Snapshot[];
    maxUnacknowledgedBatches: number;
    lifetimeMs: number;
    heartbeatMs: number;
    /** Transcript requests are answered while true. */
    answerTranscripts: boolean;
  };
  /** What it has of skills, and how it sends that. */
  readonly bundles: TestBundles;
  /** The stored outbox: each sequence once, without gaps. */
  readonly entries: OutboxEntry[];
  readonly ephemerals: Ephemeral[];
  /** All that was said on Attach, hello included. */
  readonly said: Said[];
  readonly hellos: Hello[];
  readonly epoch: bigint;
  readonly attached: boolean;
  /** How often IssueToken and Join succeeded. */
  readonly issued: number;
  readonly joined: number;
  /** How many batches came, resends included. */
  readonly batches: OutboxEntry[][];
  /** What is stored of sessions that ran elsewhere. */
  readonly transcripts: Map<string, TranscriptEntry[]>;
  /** Makes a join token. */
  joinToken(): string;
  /** Forgets all keys. */
  revoke(): void;
  send(message: AttachResponse["message"]): void;
  runTurn(turn: Partial<Omit<RunTurn, "$typeName" | "$unknown">>): RunTurn;
  /** Destroys all connections. */
  cut(): void;
  /** Ends the current attach as replaced by a newer one. */
  replace(): void;
  /** Moves the stored cursor, as a gateway that remembers more or less than the sidecar. */
  setCursor(cursor: number): void;
  changes(turnId: string): TurnChange[];
  events(kind?: string): string[];
  /** Stops listening; with start it listens again on the same port, with all it remembers. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

export const AGENT = "one";

/** A snapshot that runs the offline model. */
export function offlineSnapshot(generation: bigint, model = "offline/echo"): Snapshot {
  return create(SnapshotSchema, {
    agentId: AGENT,
    generation,
    displayName: "One",
    spec: { model, instructions: "Be brief." },
    provider: { name: "offline", kind: ProviderKind.OFFLINE, builtin: true },
  });
}

/** A gateway of real HTTP/2 without TLS and without a database: the mesh contract, and nothing else. */
export async function startTestGateway(): Promise<TestGateway> {
  const nonces = new Set<string>();
  const joinTokens = new Set<string>();
  const keys = new Set<string>();
  const tokens = new Set<string>();
  const script: TestGateway["script"] = {
    withholdAcks: false,
    withholdStores: false,
    deadTurnIds: [],
    snapshots: [],
    maxUnacknowledgedBatches: 4,
    lifetimeMs: 300_000,
    heartbeatMs: 500,
    answerTranscripts: true,
  };
  const entries: OutboxEntry[] = [];
  const ephemerals: Ephemeral[] = [];
  const said: Said[] = [];
  const hellos: Hello[] = [];
  const batches: OutboxEntry[][] = [];
  const transcripts = new Map<string, TranscriptEntry[]>();
  let epoch = 0n;
  let cursor = 0;
  let ledgerId = "";
  let issued = 0;
  let joined = 0;
  let down: MessageQueue<AttachResponse> | undefined;
  let failAttach: ((error: ConnectError) => void) | undefined;
  let server: Http2Server | undefined;
  const connections = new Set<ServerHttp2Session>();
  let port = 0;

  const check = (purpose: string, proof: KeyProof | undefined): string => {
    if (proof === undefined || !nonces.delete(proof.nonce)) throw new ConnectError("bad nonce", Code.Unauthenticated);
    const x = Buffer.from(proof.publicKey).toString("base64url");
    const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
    const signed = Buffer.from(`openhermit-mesh-v1\n${purpose}\n${proof.nonce}`);
    if (!verify(null, signed, key, proof.signature)) throw new ConnectError("bad signature", Code.Unauthenticated);
    return x;
  };
  const authenticate = (context: HandlerContext): void => {
    const token = context.requestHeader.get("authorization")?.replace("Bearer ", "");
    if (token === undefined || !tokens.has(token)) throw new ConnectError("bad token", Code.Unauthenticated);
  };
  const answer = (message: AttachResponse["message"]): AttachResponse => create(AttachResponseSchema, { message });

  const send = (message: AttachResponse["message"]): void => {
    if (down === undefined) throw new Error("no sidecar is attached");
    down.push(answer(message));
  };
  const receive = (message: AttachRequest["message"]): void => {
    if (message.case === undefined) return;
    said.push(message);
    if (message.case !== "transcriptRequest" || !script.answerTranscripts) return;
    const { sessionId, afterPosition } = message.value;
    // Pages of two entries, so that more than one is needed.
    const rest = (transcripts.get(sessionId) ?? []).filter((entry) => entry.position > afterPosition);
    const page = create(TranscriptPageSchema, { sessionId, entries: rest.slice(0, 2), more: rest.length > 2 });
    down?.push(answer({ case: "transcriptPage", value: page }));
  };

  async function* attach(
    requests: AsyncIterable<AttachRequest>,
    context: HandlerContext,
  ): AsyncIterable<AttachResponse> {
    authenticate(context);
    const queue = createMessageQueue<AttachResponse>(10_000);
    const failed = Promise.withResolvers<never>();
    failed.promise.catch(() => {});
    failAttach?.(new ConnectError("replaced", Code.Aborted));
    failAttach = failed.reject;
    let heartbeat: NodeJS.Timeout | undefined;
    const read = async (): Promise<void> => {
      for await (const { message } of requests) {
        if (message.case === "hello") {
          epoch += 1n;
          if (message.value.ledgerId !== ledgerId) {
            ledgerId = message.value.ledgerId;
            cursor = 0;
          }
          hellos.push(message.value);
          down = queue;
          queue.push(
            answer({
              case: "welcome",
              value: {
                $typeName: "openhermit.mesh.v1.Welcome",
                epoch,
                cursor: BigInt(cursor),
                deadTurnIds: script.deadTurnIds,
                lease: durationFromMs(script.heartbeatMs * 4),
                heartbeatInterval: durationFromMs(script.heartbeatMs),
                serverTime: timestampNow(),
              },
            }),
          );
          for (const snapshot of script.snapshots) queue.push(answer({ case: "snapshot", value: snapshot }));
          let id = 0n;
          heartbeat = setInterval(() => {
            id += 1n;
            queue.push(answer({ case: "ping", value: { $typeName: "openhermit.mesh.v1.Ping", id } }));
          }, script.heartbeatMs);
        }
        receive(message);
      }
      queue.end();
    };
    void read().catch(() => queue.end());
    try {
      const iterator = queue[Symbol.asyncIterator]();
      for (;;) {
        const next = await Promise.race([iterator.next(), failed.promise]);
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      clearInterval(heartbeat);
      if (down === queue) down = undefined;
    }
  }

  async function* publish(
    requests: AsyncIterable<PublishRequest>,
    context: HandlerContext,
  ): AsyncIterable<PublishResponse> {
    authenticate(context);
    let mine = 0n;
    for await (const { message } of requests) {
      switch (message.case) {
        case "open":
          mine = message.value.epoch;
          if (mine !== epoch) throw new ConnectError("old epoch", Code.Aborted);
          yield create(PublishResponseSchema, {
            message: {
              case: "opened",
              value: { cursor: BigInt(cursor), maxUnacknowledgedBatches: script.maxUnacknowledgedBatches },
            },
          });
          break;
        case "ephemeral":
          ephemerals.push(...message.value.items);
          break;
        case "batch":
          if (mine !== epoch) throw new ConnectError("old epoch", Code.Aborted);
          batches.push(message.value.entries);
          if (script.withholdStores) break;
          for (const entry of message.value.entries) {
            const sequence = Number(entry.sequence);
            if (sequence <= cursor) continue;
            if (sequence !== cursor + 1) throw new ConnectError("gap", Code.FailedPrecondition);
            cursor = sequence;
            entries.push(entry);
          }
          if (script.withholdAcks) break;
          yield create(PublishResponseSchema, {
            message: { case: "acknowledged", value: { sequence: BigInt(cursor) } },
          });
          break;
        case undefined:
          break;
      }
    }
  }

  const routes = (router: ConnectRouter): void => {
    router.service(EnrollmentService, {
      getNonce() {
        const nonce = randomUUID();
        nonces.add(nonce);
        return { nonce };
      },
      join({ joinToken, proof }) {
        const key = check("join", proof);
        if (!joinTokens.delete(joinToken)) throw new ConnectError("bad join token", Code.Unauthenticated);
        keys.add(key);
        joined += 1;
        return { sidecarId: AGENT, agentIds: [AGENT] };
      },
      issueToken({ proof }) {
        const key = check("token", proof);
        if (!keys.has(key)) throw new ConnectError("unknown key", Code.Unauthenticated);
        issued += 1;
        const accessToken = randomUUID();
        tokens.add(accessToken);
        return { accessToken, lifetime: durationFromMs(script.lifetimeMs) };
      },
    });
    router.service(LinkService, { attach, publish, readBundle: bundles.readBundle });
  };

  const start = async (): Promise<void> => {
    const listening = createServer(connectNodeAdapter({ routes }));
    listening.on("session", (session) => {
      connections.add(session);
      session.on("close", () => connections.delete(session));
      session.on("error", () => {});
    });
    await new Promise<void>((resolve, reject) => {
      listening.on("error", reject);
      listening.listen(port, "127.0.0.1", resolve);
    });
    port = (listening.address() as AddressInfo).port;
    server = listening;
  };
  const cut = (): void => {
    for (const session of connections) session.destroy();
    down = undefined;
  };

  const bundles = createTestBundles({ authenticate, cut });

  await start();
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    script,
    entries,
    ephemerals,
    said,
    hellos,
    batches,
    transcripts,
    bundles,
    get epoch() {
      return epoch;
    },
    get attached() {
      return down !== undefined;
    },
    get issued() {
      return issued;
    },
    get joined() {
      return joined;
    },
    joinToken() {
      const token = randomUUID();
      joinTokens.add(token);
      return token;
    },
    revoke() {
      keys.clear();
      tokens.clear();
    },
    send,
    runTurn(turn) {
      const value = create(RunTurnSchema, {
        turnId: randomUUID(),
        attempt: 1,
        agentId: AGENT,
        sessionId: randomUUID(),
        message: "hello",
        userId: "someone",
        channel: "test",
        ...turn,
      });
      send({ case: "runTurn", value });
      return value;
    },
    cut,
    replace() {
      epoch += 1n;
      failAttach?.(new ConnectError("replaced", Code.Aborted));
    },
    setCursor(value) {
      cursor = value;
    },
    changes: (turnId) =>
      entries.flatMap(({ body }) => (body.case === "turnChange" && body.value.turnId === turnId ? [body.value] : [])),
    events: (kind) =>
      entries.flatMap(({ body }) =>
        body.case === "event" && (kind === undefined || body.value.detail.case === kind)
          ? [body.value.detail.case ?? ""]
          : [],
      ),
    async stop() {
      const closing = server;
      server = undefined;
      if (closing === undefined) return;
      const closed = new Promise((resolve) => closing.close(resolve));
      cut();
      await closed;
    },
    start,
  };
}

/** Whether a turn has ended, by what is stored. */
export function endOf(gateway: TestGateway, turnId: string): TurnChange | undefined {
  return gateway.changes(turnId).findLast((change) => change.state > TurnState.RUNNING);
}
