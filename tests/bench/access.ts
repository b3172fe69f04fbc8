import { createClient, type Client } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { startServer, type BenchServer } from "./children.ts";
import { cpuMs, median, percentile } from "./measure.ts";
import type { Measurement } from "./report.ts";

const CALLS = 2_000;
const SIDE_BY_SIDE = 8;
const CHECKS = 100_000;
const WARM_UP = 8_000;
/** Short rounds in turn: what else the machine does meanwhile meets both alike. */
const ROUNDS = 12;

/**
 * What it costs to know who calls and whether they may: the CPU time of the server for a cheap unary call with gate and
 * rights, over a token with a scope, against the same way without them.
 */
export async function benchAccess(repeats: number): Promise<Measurement[]> {
  const guarded: number[] = [];
  const bare: number[] = [];
  const checks: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    const file = new URL("./peers/access-server.ts", import.meta.url);
    const [with_, without] = await Promise.all([startServer(file, ["guarded"]), startServer(file, ["bare"])]);
    const ends: (() => void)[] = [];
    try {
      const token = await read(with_, "/token");
      const callers = [with_, without].map((server) => caller(server, token, ends));
      for (const call of callers) await call(WARM_UP);
      for (let round = 0; round < ROUNDS; round++) {
        guarded.push(await cpuOf(with_, callers[0]));
        bare.push(await cpuOf(without, callers[1]));
      }
      checks.push(Number(await read(with_, `/verify?n=${CHECKS}`)) / 1000);
    } finally {
      ends.forEach((end) => end());
      await Promise.all([with_.stop(), without.stop()]);
    }
  }
  // What else runs on the machine only adds: caches grow cold, and threads share a core.
  const quiet = (ms: readonly number[]): number => percentile(ms, 0.25);
  const µs = (ms: readonly number[]): string => `${((quiet(ms) * 1000) / CALLS).toFixed(0)} µs`;
  return [
    {
      goal: 0,
      name: "CPU of a unary call with authentication and authorization against without",
      value: quiet(guarded) / quiet(bare),
      unit: "x",
      bound: { kind: "at most", value: 1.1 },
      note: `${guarded.length} rounds of ${CALLS} calls in turn, lower quartiles: ${µs(guarded)} with, ${µs(bare)} without`,
    },
    {
      goal: 0,
      name: "one check of a cached token",
      value: median(checks),
      unit: "µs",
      note: `${CHECKS} checks in a row`,
    },
  ];
}

async function read(server: BenchServer, path: string): Promise<string> {
  return (await fetch(`http://127.0.0.1:${server.port}${path}`)).text();
}

function caller(server: BenchServer, token: string, ends: (() => void)[]): (calls: number) => Promise<void> {
  const baseUrl = `http://127.0.0.1:${server.port}`;
  const sessionManager = new Http2SessionManager(baseUrl);
  ends.push(() => sessionManager.abort());
  const client: Client<typeof FleetService> = createClient(
    FleetService,
    createConnectTransport({ baseUrl, httpVersion: "2", sessionManager }),
  );
  // Both send it, so that both read it.
  const headers = { authorization: `Bearer ${token}` };
  return async (calls) => {
    let left = calls;
    const lane = async () => {
      while (left > 0) {
        left -= 1;
        await client.getAgent({ agentId: "one" }, { headers });
      }
    };
    await Promise.all(Array.from({ length: SIDE_BY_SIDE }, lane));
  };
}

async function cpuOf(server: BenchServer, call: ((calls: number) => Promise<void>) | undefined): Promise<number> {
  const begin = cpuMs(server.pid);
  await call?.(CALLS);
  return cpuMs(server.pid) - begin;
}
