/**
 * npm run bench [-- --only NAME[,NAME]] [--repeats N] [--json FILE]
 *
 * Measures against peers and floors in the same run and prints a table and JSON. Exits 1 when a goal is
 * missed. Nothing here is a test: figures swing by 30 % from run to run, the ratios hold.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { formatTable, meets, type Measurement } from "./report.ts";

/** One benchmark: runs everything it compares, `repeats` times in turn. */
export type Benchmark = (repeats: number) => Promise<Measurement[]>;

const BENCHMARKS: Record<string, () => Promise<Benchmark>> = {
  turn: async () => (await import("./turn.ts")).benchTurn,
  link: async () => (await import("./link-hop.ts")).benchLinkHop,
  transport: async () => (await import("./activity-transport.ts")).benchActivityTransport,
  fleet: async () => (await import("./fleet.ts")).benchFleet,
  access: async () => (await import("./access.ts")).benchAccess,
  memory: async () => (await import("./memory.ts")).benchMemory,
  start: async () => (await import("./start.ts")).benchStart,
};

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    repeats: { type: "string", default: "5" },
    json: { type: "string", default: ".cache/bench.json" },
  },
});
const names = values.only?.split(",") ?? Object.keys(BENCHMARKS);
const measurements: Measurement[] = [];
for (const name of names) {
  const load = BENCHMARKS[name];
  if (load === undefined) {
    console.error(`no benchmark is named "${name}"; there are ${Object.keys(BENCHMARKS).join(", ")}`);
    process.exit(2);
  }
  console.error(`${name} ...`);
  const benchmark = await load();
  const results = await benchmark(Number(values.repeats));
  console.error(`${formatTable(results)}\n`);
  measurements.push(...results);
}
mkdirSync(dirname(values.json), { recursive: true });
writeFileSync(
  values.json,
  `${JSON.stringify({ time: new Date().toISOString(), node: process.version, measurements }, null, 2)}\n`,
);
console.log(formatTable(measurements));
console.log(`\nwritten to ${values.json}`);
process.exit(measurements.some((m) => meets(m) === false) ? 1 : 0);
