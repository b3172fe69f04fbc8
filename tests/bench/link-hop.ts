import { connect } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { newSessionId } from "@openhermit/ids";
import { AttachRequestSchema, type AttachRequest } from "@openhermit/protocol/mesh/v1/link_service";
import { createGatewayConnection } from "../../sidecar/src/link/gateway-connection.ts";
import { startServer } from "./children.ts";
import { median } from "./measure.ts";
import type { Measurement } from "./report.ts";

const HOPS = 2000;

const request = (): AttachRequest =>
  create(AttachRequestSchema, {
    message: { case: "transcriptRequest", value: { sessionId: newSessionId(), afterPosition: 0n } },
  });

/** Goal 2: a request and its answer on an open Attach stream, one at a time, against a raw HTTP/2 echo on an open stream. */
export async function benchLinkHop(repeats: number): Promise<Measurement[]> {
  const ours: number[] = [];
  const raw: number[] = [];
  for (let round = 0; round < repeats; round++) {
    raw.push(await measure("./peers/raw-http2.ts", hopRaw));
    ours.push(await measure("./peers/link-server.ts", hopOurs));
  }
  return [
    {
      goal: 2,
      name: "one hop on the link, p50, against a raw HTTP/2 echo",
      value: median(ours) / median(raw),
      unit: "x",
      bound: { kind: "at most", value: 2 },
      note: `${repeats} rounds of ${HOPS} hops in turn: ours ${(median(ours) * 1000).toFixed(0)} µs, raw ${(median(raw) * 1000).toFixed(0)} µs`,
    },
  ];
}

async function measure(server: string, run: (port: number) => Promise<number[]>): Promise<number> {
  const child = await startServer(new URL(server, import.meta.url));
  try {
    await run(child.port);
    return median(await run(child.port));
  } finally {
    await child.stop();
  }
}

async function hopOurs(port: number): Promise<number[]> {
  const connection = createGatewayConnection(`http://127.0.0.1:${port}`);
  const times: number[] = [];
  let wake: (() => void) | undefined;
  let over = false;
  async function* requests(): AsyncGenerator<AttachRequest> {
    while (!over) {
      yield request();
      await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  let begin = performance.now();
  for await (const _ of connection.link.attach(requests())) {
    times.push(performance.now() - begin);
    if (times.length >= HOPS) over = true;
    begin = performance.now();
    wake?.();
  }
  connection.drop();
  return times;
}

function hopRaw(port: number): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://127.0.0.1:${port}`);
    const stream = session.request({ ":method": "POST", ":path": "/echo" });
    const times: number[] = [];
    let begin = performance.now();
    const send = (): void => {
      begin = performance.now();
      stream.write(Buffer.from(toBinary(AttachRequestSchema, request())));
    };
    stream.on("error", reject);
    stream.on("data", () => {
      times.push(performance.now() - begin);
      if (times.length < HOPS) send();
      else stream.end(() => session.close(() => resolve(times)));
    });
    send();
  });
}
