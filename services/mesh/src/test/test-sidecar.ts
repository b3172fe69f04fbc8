import { generateKeyPairSync, randomUUID, sign, type KeyObject } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { EnrollmentService } from "@openhermit/protocol/mesh/v1/enrollment_service";
import {
  AttachRequestSchema,
  LinkService,
  PublishRequestSchema,
  type AttachRequest,
  type AttachResponse,
  type PublishRequest,
  type PublishResponse,
  type Welcome,
} from "@openhermit/protocol/mesh/v1/link_service";
import { OutboxEntrySchema, type OutboxEntry } from "@openhermit/protocol/mesh/v1/outbox";
import { waitFor } from "@openhermit/testing";
import { createSendQueue } from "../send-queue.ts";

/** One stream of a sidecar: what it received, how it ended. */
export interface TestStream<Up, Down> {
  readonly received: Down[];
  /** Undefined while it lasts; `ok` for a good end. */
  readonly ended: () => "ok" | ConnectError | undefined;
  send(message: Up): void;
  /** Ends the sidecar's side. */
  finish(): void;
  /** Breaks the stream. */
  abort(): void;
}

/** A sidecar that does what the test says, with a key of its own and real streams. */
export interface TestSidecar {
  readonly id: string;
  readonly publicKey: Uint8Array;
  ledgerId: string;
  proof(
    purpose: "join" | "token",
    nonce?: string,
  ): Promise<{ publicKey: Uint8Array; nonce: string; signature: Uint8Array }>;
  join(joinToken: string): Promise<void>;
  token(): Promise<string>;
  /** Attaches, and answers Pings; does not wait for Welcome. */
  attach(hello?: { turns?: { turnId: string; attempt: number }[] }): Promise<TestStream<AttachRequest, AttachResponse>>;
  /** Attaches and waits for Welcome. */
  attached(hello?: { turns?: { turnId: string; attempt: number }[] }): Promise<{
    stream: TestStream<AttachRequest, AttachResponse>;
    welcome: Welcome;
  }>;
  publish(epoch: bigint): Promise<TestStream<PublishRequest, PublishResponse>>;
  /** The parts of a bundle. */
  readBundle(agentId: string, digest: string): Promise<Uint8Array[]>;
  /** Whether it answers Pings. */
  answersPings: boolean;
  /** Until this resolves nothing more is read of the streams than fits into a window of HTTP/2. */
  pause: Promise<void> | undefined;
  close(): void;
}

/** Creates a sidecar that talks to the gateway at the URL. */
export function createTestSidecar(options: { id: string; url: string; privateKey?: KeyObject }): TestSidecar {
  const pair = generateKeyPairSync("ed25519");
  const publicKey = new Uint8Array(Buffer.from(pair.publicKey.export({ format: "jwk" }).x ?? "", "base64url"));
  const sessionManager = new Http2SessionManager(options.url);
  const transport = createGrpcTransport({ baseUrl: options.url, sessionManager });
  const enrollment = createClient(EnrollmentService, transport);
  const link = createClient(LinkService, transport);
  let token: string | undefined;

  const headers = async (): Promise<{ authorization: string }> => {
    token ??= await sidecar.token();
    return { authorization: `Bearer ${token}` };
  };

  const open = <Up, Down>(
    call: (requests: AsyncIterable<Up>, signal: AbortSignal) => AsyncIterable<Down>,
    onMessage: (message: Down, stream: TestStream<Up, Down>) => void,
  ): TestStream<Up, Down> => {
    const up = createSendQueue<Up>();
    const controller = new AbortController();
    const received: Down[] = [];
    let ended: "ok" | ConnectError | undefined;
    const stream: TestStream<Up, Down> = {
      received,
      ended: () => ended,
      send: (message) => void up.push(message, 1),
      finish: () => up.end(),
      abort: () => controller.abort(),
    };
    void (async () => {
      try {
        for await (const message of call(up.drain(), controller.signal)) {
          received.push(message);
          onMessage(message, stream);
          await sidecar.pause;
        }
        ended = "ok";
      } catch (error) {
        ended = ConnectError.from(error);
      }
      up.end();
    })();
    return stream;
  };

  const sidecar: TestSidecar = {
    id: options.id,
    publicKey,
    ledgerId: randomUUID(),
    answersPings: true,
    pause: undefined,
    async proof(purpose, given) {
      const nonce = given ?? (await enrollment.getNonce({})).nonce;
      const text = `openhermit-mesh-v1\n${purpose}\n${nonce}`;
      return { publicKey, nonce, signature: new Uint8Array(sign(null, Buffer.from(text), pair.privateKey)) };
    },
    async join(joinToken) {
      await enrollment.join({ joinToken, proof: await sidecar.proof("join") });
      token = undefined;
    },
    async token() {
      return (await enrollment.issueToken({ proof: await sidecar.proof("token") })).accessToken;
    },
    async attach(hello = {}) {
      const header = await headers();
      const stream = open<AttachRequest, AttachResponse>(
        (requests, signal) => link.attach(requests, { headers: header, signal }),
        ({ message }, self) => {
          if (message.case === "ping" && sidecar.answersPings) {
            self.send(attachRequest({ case: "pong", value: { id: message.value.id } }));
          }
        },
      );
      const { ledgerId } = sidecar;
      const value = { instanceId: randomUUID(), ledgerId, host: "host", pid: 1, version: "1", ...hello };
      stream.send(attachRequest({ case: "hello", value }));
      return stream;
    },
    async attached(hello = {}) {
      const stream = await sidecar.attach(hello);
      const welcome = await waitFor(
        () => {
          const ended = stream.ended();
          if (ended !== undefined && stream.received.length === 0) throw new Error("attach ended", { cause: ended });
          const [first] = stream.received;
          return first?.message.case === "welcome" ? first.message.value : undefined;
        },
        { what: "Welcome" },
      );
      return { stream, welcome };
    },
    async publish(epoch) {
      const header = await headers();
      const stream = open<PublishRequest, PublishResponse>(
        (requests, signal) => link.publish(requests, { headers: header, signal }),
        () => {},
      );
      stream.send(create(PublishRequestSchema, { message: { case: "open", value: { epoch } } }));
      return stream;
    },
    async readBundle(agentId, digest) {
      const parts: Uint8Array[] = [];
      for await (const part of link.readBundle({ agentId, digest }, { headers: await headers() }))
        parts.push(part.data);
      return parts;
    },
    close: () => sessionManager.abort(),
  };
  return sidecar;
}

/** A message up on Attach. */
export function attachRequest(
  message: NonNullable<MessageInitShape<typeof AttachRequestSchema>["message"]>,
): AttachRequest {
  return create(AttachRequestSchema, { message });
}

/** A batch up on Publish. */
export function batch(entries: OutboxEntry[]): PublishRequest {
  return create(PublishRequestSchema, { message: { case: "batch", value: { entries } } });
}

/** An event of an agent. */
export function eventEntry(sequence: number, agentId: string, id = `e${sequence}`): OutboxEntry {
  const value = { id, agentId, detail: { case: "messageIn" as const, value: { text: id } } };
  return create(OutboxEntrySchema, { sequence: BigInt(sequence), body: { case: "event", value } });
}

/** Events `from … to` of an agent. */
export function eventEntries(from: number, to: number, agentId: string): OutboxEntry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => eventEntry(from + i, agentId));
}

/** Waits until the stream has acknowledged the sequence. */
export async function acknowledged(
  stream: TestStream<PublishRequest, PublishResponse>,
  sequence: number,
): Promise<void> {
  await waitFor(
    () =>
      stream.received.some(
        ({ message }) => message.case === "acknowledged" && message.value.sequence >= BigInt(sequence),
      ),
    { what: `acknowledgement of ${sequence}; the stream: ${String(stream.ended())}` },
  );
}

/** Waits until the stream ends; returns its error, or fails when it ended well. */
export async function endOf<Up, Down>(stream: TestStream<Up, Down>): Promise<{ code: string; reason: string | null }> {
  const ended = await waitFor(() => stream.ended(), { what: "the end of the stream" });
  if (ended === "ok") throw new Error("the stream ended without an error");
  return { code: Code[ended.code], reason: ended.metadata.get("reason") };
}

/** The cursor that Publish was opened with. */
export async function opened(stream: TestStream<PublishRequest, PublishResponse>): Promise<bigint> {
  return await waitFor(
    () => {
      const [first] = stream.received;
      if (first?.message.case === "opened") return { cursor: first.message.value.cursor };
      return undefined;
    },
    { what: `PublishOpened; the stream: ${String(stream.ended())}` },
  ).then(({ cursor }) => cursor);
}
