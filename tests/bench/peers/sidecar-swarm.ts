/**
 * Many simulated sidecars in one process, each with a key, an HTTP/2 connection and an Attach stream of its own, that do
 * nothing but answer: Pong, and Applied as soon as a snapshot comes. Cheap, because they share the machine with what is
 * measured. Driven over IPC by sidecar-swarm-client.ts; ends with its parent.
 */
import { generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { connect, type ClientHttp2Session } from "node:http2";
import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  AttachRequestSchema,
  AttachResponseSchema,
  type AttachResponse,
} from "@openhermit/protocol/mesh/v1/link_service";
import { createGatewayConnection, type GatewayConnection } from "../../../sidecar/src/link/gateway-connection.ts";

/** What the swarm is told. */
export type SwarmOrder =
  | { kind: "attach"; gatewayUrl: string; joinTokens: readonly { agentId: string; joinToken: string }[] }
  /** Tell when each of them has applied another snapshot than the one it has now. */
  | { kind: "watch" };

/** What the swarm tells. Times are of `process.hrtime`, ns, as text. */
export type SwarmReport =
  | { kind: "attached" }
  | { kind: "watching" }
  | { kind: "applied"; firstNs: string; lastNs: string };

/** How many join at once. */
const LANES = 16;
const ENVELOPE_BYTES = 5;
const END_OF_STREAM = 0x02;

interface Sidecar {
  readonly agentId: string;
  generation: bigint;
}

const sidecars: Sidecar[] = [];
let behind: Set<Sidecar> | undefined;
let first: bigint | undefined;
const onFirstApplied = new Map<Sidecar, () => void>();

function tell(report: SwarmReport): void {
  process.send?.(report);
}

function envelope(message: NonNullable<MessageInitShape<typeof AttachRequestSchema>["message"]>): Buffer {
  const body = toBinary(AttachRequestSchema, create(AttachRequestSchema, { message }));
  const head = Buffer.alloc(ENVELOPE_BYTES);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

/** Calls back with each message of a stream of enveloped messages. */
function messagesOf(onMessage: (message: AttachResponse) => void, onEnd: (text: string) => void) {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk: Buffer): void => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= ENVELOPE_BYTES) {
      const end = ENVELOPE_BYTES + rest.readUInt32BE(1);
      if (rest.length < end) return;
      const body = rest.subarray(ENVELOPE_BYTES, end);
      if (((rest[0] ?? 0) & END_OF_STREAM) !== 0) onEnd(body.toString());
      else onMessage(fromBinary(AttachResponseSchema, body));
      rest = rest.subarray(end);
    }
  };
}

/** Joins, and gets an access token. */
async function enroll({ enrollment }: GatewayConnection, joinToken: string): Promise<string> {
  const { publicKey: key, privateKey } = generateKeyPairSync("ed25519");
  const publicKey = new Uint8Array(Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url"));
  const proof = async (purpose: "join" | "token") => {
    const { nonce } = await enrollment.getNonce({});
    const text = `openhermit-mesh-v1\n${purpose}\n${nonce}`;
    return { publicKey, nonce, signature: new Uint8Array(sign(null, Buffer.from(text), privateKey)) };
  };
  await enrollment.join({ joinToken, proof: await proof("join") });
  return (await enrollment.issueToken({ proof: await proof("token") })).accessToken;
}

/** Attaches, and resolves when the first snapshot is applied. */
function attach(session: ClientHttp2Session, accessToken: string, sidecar: Sidecar): Promise<void> {
  const stream = session.request({
    ":method": "POST",
    ":path": "/openhermit.mesh.v1.LinkService/Attach",
    "content-type": "application/connect+proto",
    "connect-protocol-version": "1",
    authorization: `Bearer ${accessToken}`,
  });
  const fail = (why: string): never => {
    throw new Error(`the link of ${sidecar.agentId} ended: ${why}`);
  };
  const accept = ({ message }: AttachResponse): void => {
    if (message.case === "ping") stream.write(envelope({ case: "pong", value: { id: message.value.id } }));
    if (message.case !== "snapshot") return;
    const { agentId, generation } = message.value;
    stream.write(envelope({ case: "applied", value: { agentId, generation } }));
    applied(sidecar, generation);
  };
  stream.on("data", messagesOf(accept, fail));
  stream.on("error", (error) => fail(error.message));
  stream.write(
    envelope({
      case: "hello",
      value: { instanceId: randomUUID(), ledgerId: randomUUID(), host: "swarm", pid: process.pid, version: "0" },
    }),
  );
  return new Promise((resolve) => onFirstApplied.set(sidecar, resolve));
}

function applied(sidecar: Sidecar, generation: bigint): void {
  sidecar.generation = generation;
  onFirstApplied.get(sidecar)?.();
  onFirstApplied.delete(sidecar);
  if (behind?.delete(sidecar) !== true) return;
  const now = process.hrtime.bigint();
  first ??= now;
  if (behind.size > 0) return;
  tell({ kind: "applied", firstNs: String(first), lastNs: String(now) });
  behind = undefined;
}

async function attachAll({ gatewayUrl, joinTokens }: Extract<SwarmOrder, { kind: "attach" }>): Promise<void> {
  const connection = createGatewayConnection(gatewayUrl);
  const left = [...joinTokens];
  const lane = async (): Promise<void> => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      const sidecar = { agentId: next.agentId, generation: 0n };
      const accessToken = await enroll(connection, next.joinToken);
      await attach(connect(gatewayUrl), accessToken, sidecar);
      sidecars.push(sidecar);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  connection.drop();
  tell({ kind: "attached" });
}

process.on("message", (order: SwarmOrder) => {
  if (order.kind === "attach") {
    void attachAll(order);
    return;
  }
  behind = new Set(sidecars);
  first = undefined;
  tell({ kind: "watching" });
});
process.on("disconnect", () => process.exit(0));
