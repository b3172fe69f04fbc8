import { testLog } from "@openhermit/testing";
import { afterEach, expect, test } from "vitest";

import type { Listener } from "./listener.ts";
import { listenMetrics, type MetricsListenerOptions } from "./metrics-listener.ts";

let listener: Listener | undefined;
afterEach(async () => {
  await listener?.close(0);
  listener = undefined;
});

async function start(options: Partial<MetricsListenerOptions> = {}): Promise<Listener> {
  const listen = { host: "127.0.0.1", port: 0 };
  listener = await listenMetrics({ listen, insecure: false, metrics: async () => "a 1\n", log: testLog(), ...options });
  return listener;
}

test("answers GET /metrics and nothing else", async () => {
  const { url } = await start();
  const metrics = await fetch(`${url}/metrics`);
  expect([metrics.status, await metrics.text()]).toEqual([200, "a 1\n"]);
  expect(metrics.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect((await fetch(`${url}/metrics`, { method: "POST", body: "x" })).status).toBe(405);
  for (const path of ["/", "/health", "/livez", "/login", "/metrics/", "/metrics?x"]) {
    expect((await fetch(url + path)).status).toBe(404);
  }
});

test("says no more than that when the metrics can't be read", async () => {
  const { url } = await start({ metrics: () => Promise.reject(new Error("a secret")) });
  const metrics = await fetch(`${url}/metrics`);
  expect([metrics.status, await metrics.text()]).toEqual([500, "the metrics can't be read now\n"]);
});

test("is on loopback unless it is allowed elsewhere, and names its own setting", async () => {
  await expect(start({ listen: { host: "0.0.0.0", port: 0 } })).rejects.toMatchObject({ reason: "LISTEN_INSECURE" });
  const { port, url } = await start({ listen: { host: "0.0.0.0", port: 0 }, insecure: true });
  expect((await fetch(`${url}/metrics`)).status).toBe(200);
  const second = listenMetrics({
    listen: { host: "127.0.0.1", port },
    insecure: false,
    metrics: async () => "",
    log: testLog(),
  });
  await expect(second).rejects.toMatchObject({
    reason: "PORT_IN_USE",
    hint: expect.stringContaining("OPENHERMIT_METRICS_LISTEN") as string,
  });
});
