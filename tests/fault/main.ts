/**
 * npm run test:fault [-- --repeats N] [--only TEXT]
 *
 * Runs the fault tests in their long form: each repeated scenario N times (default 20). `npm test` runs each once, and shorter.
 */
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: { repeats: { type: "string", default: "20" }, only: { type: "string" } },
});
const repeats = Number(values.repeats);
if (!Number.isInteger(repeats) || repeats < 1) {
  console.error(`--repeats takes a number of at least 1, got "${values.repeats}"`);
  process.exit(2);
}
const { status } = spawnSync(
  "vitest",
  [
    "run",
    "tests/fault",
    // Each with the machine to itself: what is promised in seconds is measured.
    "--maxWorkers=1",
    // A fault that is survived now and then is not survived.
    "--retry=0",
    "--reporter=default",
    `--reporter=${new URL("../../scripts/count-reporter.ts", import.meta.url).pathname}`,
    ...(values.only === undefined ? [] : ["-t", values.only]),
  ],
  { stdio: "inherit", env: { ...process.env, OPENHERMIT_FAULT_REPEATS: String(repeats) } },
);
process.exit(status ?? 1);
