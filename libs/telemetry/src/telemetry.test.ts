import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, describe, expect, test } from "vitest";

import { createTelemetry } from "./telemetry.ts";
import { formatTraceparent, newTraceContext, parseTraceparent } from "./trace-context.ts";

describe("trace context", () => {
  test("survives the header", () => {
    const context = newTraceContext();
    expect(parseTraceparent(formatTraceparent(context))).toEqual(context);
    expect(newTraceContext().traceId).not.toBe(context.traceId);
  });

  test.each([
    ["", "not a header"],
    ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", "version 00 with a fifth field"],
    ["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "the forbidden version"],
    [`00-${"0".repeat(32)}-00f067aa0ba902b7-01`, "an empty trace id"],
    [`00-4bf92f3577b34da6a3ce929d0e0e4736-${"0".repeat(16)}-01`, "an empty span id"],
    ["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "upper case"],
  ])("refuses %s (%s)", (header) => {
    expect(parseTraceparent(header)).toBeUndefined();
  });
});

describe("telemetry", () => {
  let collector: Server | undefined;
  afterEach(() => collector?.close());

  test("without OTEL variables carries the trace on and records nothing", async () => {
    const telemetry = await createTelemetry({ service: "test", version: "1", env: {} });
    const parent = newTraceContext();
    const child = await telemetry.span("work", { parent }, async (span) => span);
    expect(child).toMatchObject({ traceId: parent.traceId, sampled: parent.sampled });
    expect(child.spanId).not.toBe(parent.spanId);
    expect(telemetry.prometheusText).toBeUndefined();
    await telemetry.shutdown();
  });

  test("keeps metrics for Prometheus when asked", async () => {
    const telemetry = await createTelemetry({ service: "test", version: "1", env: {}, prometheus: true });
    telemetry.meter.createCounter("openhermit_test_things").add(3, { kind: "a" });
    expect(await telemetry.prometheusText?.()).toContain('openhermit_test_things_total{kind="a"} 3');
    await telemetry.shutdown();
  });

  test("sends spans to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names, with their parent", async () => {
    const bodies: { path: string; body: Buffer }[] = [];
    collector = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        bodies.push({ path: request.url ?? "", body: Buffer.concat(chunks) });
        response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
      });
    });
    await new Promise<void>((resolve) => collector?.listen(0, "127.0.0.1", resolve));
    const { port } = collector.address() as AddressInfo;
    const telemetry = await createTelemetry({
      service: "openhermit-test",
      version: "1",
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` },
    });
    const parent = newTraceContext();
    const failure = new Error("secret words of a person");
    await expect(
      telemetry.span("model call", { parent, kind: "client" }, async (span) => {
        expect(span.traceId).toBe(parent.traceId);
        throw failure;
      }),
    ).rejects.toBe(failure);
    await telemetry.shutdown();
    const body = bodies[0]?.body ?? Buffer.alloc(0);
    expect(bodies[0]?.path).toBe("/v1/traces");
    expect(body.includes("model call")).toBe(true);
    expect(body.includes("openhermit-test")).toBe(true);
    expect(body.includes(Buffer.from(parent.traceId, "hex"))).toBe(true);
    expect(body.includes(Buffer.from(parent.spanId, "hex"))).toBe(true);
    expect(body.includes("secret words")).toBe(false);
  });
});
