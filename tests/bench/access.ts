import { createClient, type Client } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { startServer, type BenchServer } from "./children.ts";
import { median } from "./measure.ts";
import type { Measurement } from "./report.ts";

const CALLS = 400;
const SIDE_BY_SIDE = 8;
const CHECKS = 100_000;
const WARM_UP = 8_000;
/** Short rounds in turn: what else the machine does meanwhile meets both alike. */
const ROUNDS = 80;

/**
 * What it costs to know who calls and whether they may: the CPU time of the server for a cheap unary call with gate and
 * rights, over a token with a scope, against the same way without them.
 */
export async function benchAccess(repeats: number): Promise<Measurement[]> {
  const guarded: number[] = [];
  const bare: number[] = [];
  const ratios: number[] = [];
  const checks: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    const server = await startServer(new URL("./peers/access-server.ts", import.meta.url));
    const ends: (() => void)[] = [];
    try {
      const token = await read(server, "/token");
      const withRights = caller(server.port, token, ends);
      const without = caller(Number(await read(server, "/bare")), token, ends);
      await withRights(WARM_UP);
      await without(WARM_UP);
      for (let round = 0; round < ROUNDS; round++) {
        // Each goes first as often as the other.
        const [first, second] = round % 2 === 0 ? [withRights, without] : [without, withRights];
        const [one, other] = [await cpuOf(server, first), await cpuOf(server, second)];
        const [high, low] = round % 2 === 0 ? [one, other] : [other, one];
        guarded.push(high);
        bare.push(low);
        ratios.push(high / low);
      }
      checks.push(Number(await read(server, `/verify?n=${CHECKS}`)) / 1000);
    } finally {
      ends.forEach((end) => end());
      await server.stop();
    }
  }
  return [
    {
      goal: 0,
      name: "CPU of a unary call with authentication and authorization against without",
      value: median(ratios),
      unit: "x",
      bound: { kind: "at most", value: 1.1 },
      note: `${guarded.length} pairs of rounds of ${CALLS} calls, median of their ratios; medians: ${median(guarded).toFixed(0)} µs with, ${median(bare).toFixed(0)} µs without`,
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

function caller(port: number, token: string, ends: (() => void)[]): (calls: number) => Promise<void> {
  const baseUrl = `http://127.0.0.1:${port}`;
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

/** The CPU time of one call, in µs. */
async function cpuOf(server: BenchServer, call: (calls: number) => Promise<void>): Promise<number> {
  const begin = Number(await read(server, "/cpu"));
  await call(CALLS);
  return (Number(await read(server, "/cpu")) - begin) / CALLS;
}
