import { createServer } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startScriptedModel, waitFor, type ScriptedModel } from "@openhermit/testing";
import { startFleet, type RunningFleet } from "../fixture/running-fleet.ts";
import { scriptedManifest } from "../fixture/scripted-manifest.ts";

/** A receiver of OTLP over HTTP; traces come as protobuf, in which span names and trace ids stand as plain bytes. */
interface Receiver {
  readonly url: string;
  readonly bodies: Buffer[];
  close(): Promise<void>;
}

function startReceiver(): Promise<Receiver> {
  const bodies: Buffer[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      if (request.url === "/v1/traces") bodies.push(Buffer.concat(chunks));
      response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
    });
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = address !== null && typeof address === "object" ? address.port : 0;
      resolve({
        url: `http://127.0.0.1:${port}`,
        bodies,
        close: () => new Promise((done) => server.close(() => done())),
      });
    });
  });
}

let model: ScriptedModel;
let receiver: Receiver;
let fleet: RunningFleet;
beforeAll(async () => {
  [model, receiver] = await Promise.all([startScriptedModel(), startReceiver()]);
  fleet = await startFleet({
    manifest: scriptedManifest(model.baseUrl, ["one"]),
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_BSP_SCHEDULE_DELAY: "200" },
  });
}, 120_000);
afterAll(async () => {
  await fleet.dispose();
  await Promise.all([model.close(), receiver.close()]);
});

test("one trace goes from the caller through gateway and sidecar to the model, and stands in turn and events", async () => {
  const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
  let turnId = "";
  const stream = fleet.clients.sessions.sendMessage(
    { agentId: "one", message: "follow me" },
    { headers: { traceparent: `00-${traceId}-00f067aa0ba902b7-01` } },
  );
  for await (const { event } of stream) {
    if (event?.event.case !== "turn") continue;
    turnId = event.event.value.id;
    expect(event.event.value.traceId).toBe(traceId);
  }
  expect(String(model.requests.at(-1)?.headers["traceparent"])).toContain(traceId);
  const { events } = await fleet.clients.activity.queryEvents({ filter: { turnId } });
  expect(events.length).toBeGreaterThanOrEqual(4);
  expect(new Set(events.map(({ event }) => event?.traceId))).toEqual(new Set([traceId]));

  const id = Buffer.from(traceId, "hex");
  const exported = await waitFor(
    () => {
      const ours = receiver.bodies.filter((body) => body.includes(id)).map((body) => body.toString("latin1"));
      return ours.some((text) => text.includes("openhermit-gateway")) &&
        ours.some((text) => text.includes("chat model"))
        ? ours.join("")
        : undefined;
    },
    { what: "spans of gateway and sidecar in this trace" },
  );
  expect(exported).toContain("invoke_agent one");
  expect(exported).not.toContain("follow me");
});
