import { once } from "node:events";
import { connect } from "node:http2";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { Client, credentials, type ClientDuplexStream } from "@grpc/grpc-js";
import { newEventId } from "@openhermit/ids";
import {
  BatchSchema,
  PublishRequestSchema,
  PublishResponseSchema,
  type Batch,
  type PublishRequest,
  type PublishResponse,
} from "@openhermit/protocol/mesh/v1/link_service";
import { createGatewayConnection } from "../../sidecar/src/link/gateway-connection.ts";
import { startServer } from "./children.ts";
import { median } from "./measure.ts";
import type { Measurement } from "./report.ts";

const BATCH = 64;
const RUN_MS = 1500;

/** 64 tool calls as a sidecar reports them, about 280 bytes each. */
function batchOfEvents(): Batch {
  return create(BatchSchema, {
    entries: Array.from({ length: BATCH }, (_, i) => ({
      sequence: BigInt(i + 1),
      body: {
        case: "event" as const,
        value: {
          id: newEventId(),
          time: timestampNow(),
          agentId: "one",
          sessionId: newEventId(),
          turnId: newEventId(),
          userId: `user-${i}`,
          channel: "slack",
          detail: {
            case: "toolUse" as const,
            value: {
              name: "search__query",
              callId: `call_${i}`,
              argumentsJson: JSON.stringify({ q: "x".repeat(50), n: i }),
              result: "y".repeat(60),
            },
          },
        },
      },
    })),
  });
}

/** Goal 3: what the activity stream carries, against raw HTTP/2 with the same codec and against grpc-js. */
export async function benchActivityTransport(repeats: number): Promise<Measurement[]> {
  const ours: number[] = [];
  const raw: number[] = [];
  const grpc: number[] = [];
  for (let round = 0; round < repeats; round++) {
    raw.push(await measure("./peers/raw-http2.ts", sendRaw));
    ours.push(await measure("./peers/link-server.ts", sendOurs));
    grpc.push(await measure("./peers/grpc-js.ts", sendGrpcJs));
  }
  const note = `${repeats} rounds in turn, medians: ours ${k(ours)}, raw HTTP/2 ${k(raw)}, grpc-js ${k(grpc)} events/s`;
  return [
    {
      goal: 3,
      name: "Publish at batch 64 against raw HTTP/2 with the same codec",
      value: median(ours) / median(raw),
      unit: "x",
      bound: { kind: "at least", value: 0.8 },
      note,
    },
    {
      goal: 3,
      name: "Publish at batch 64 against grpc-js",
      value: median(ours) / median(grpc),
      unit: "x",
      bound: { kind: "at least", value: 1.2 },
    },
  ];
}

const k = (rates: readonly number[]): string => `${(median(rates) / 1000).toFixed(0)} k`;

async function measure(server: string, run: (port: number, ms: number) => Promise<number>): Promise<number> {
  const child = await startServer(new URL(server, import.meta.url));
  try {
    await run(child.port, 500);
    const begin = performance.now();
    const entries = await run(child.port, RUN_MS);
    return entries / ((performance.now() - begin) / 1000);
  } finally {
    await child.stop();
  }
}

async function sendOurs(port: number, ms: number): Promise<number> {
  const connection = createGatewayConnection(`http://127.0.0.1:${port}`);
  const request = create(PublishRequestSchema, { message: { case: "batch", value: batchOfEvents() } });
  const end = performance.now() + ms;
  async function* requests(): AsyncGenerator<PublishRequest> {
    yield create(PublishRequestSchema, { message: { case: "open", value: {} } });
    while (performance.now() < end) yield request;
  }
  let entries = 0;
  for await (const { message } of connection.link.publish(requests())) {
    if (message.case === "acknowledged") entries = Number(message.value.sequence);
  }
  connection.drop();
  return entries;
}

async function sendRaw(port: number, ms: number): Promise<number> {
  const session = connect(`http://127.0.0.1:${port}`);
  const stream = session.request({ ":method": "POST", ":path": "/ingest" });
  const batch = batchOfEvents();
  let answer = "";
  stream.setEncoding("utf8").on("data", (text: string) => (answer += text));
  const ended = once(stream, "end");
  const end = performance.now() + ms;
  while (performance.now() < end) {
    const bytes = toBinary(BatchSchema, batch);
    const frame = Buffer.allocUnsafe(5 + bytes.length);
    frame[0] = 0;
    frame.writeUInt32BE(bytes.length, 1);
    frame.set(bytes, 5);
    if (!stream.write(frame)) await once(stream, "drain");
  }
  stream.end();
  await ended;
  session.close();
  return Number(answer);
}

async function sendGrpcJs(port: number, ms: number): Promise<number> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const call: ClientDuplexStream<PublishRequest, PublishResponse> = client.makeBidiStreamRequest(
    "/openhermit.mesh.v1.LinkService/Publish",
    (message) => Buffer.from(toBinary(PublishRequestSchema, message)),
    (bytes) => fromBinary(PublishResponseSchema, bytes),
  );
  const request = create(PublishRequestSchema, { message: { case: "batch", value: batchOfEvents() } });
  let entries = 0;
  call.on("data", ({ message }: PublishResponse) => {
    if (message.case === "acknowledged") entries = Number(message.value.sequence);
  });
  const ended = once(call, "end");
  const end = performance.now() + ms;
  while (performance.now() < end) {
    if (!call.write(request)) await once(call, "drain");
  }
  call.end();
  await ended;
  client.close();
  return entries;
}
