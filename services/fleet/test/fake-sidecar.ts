// Stands in for a sidecar in tests: says how it was started, starts a child in a session of its own, and behaves as
// files in its home say: `ignore-term`, `crash` (exits with code 3, once).
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

const home = process.env["OPENHERMIT_SIDECAR_HOME"] ?? ".";
const tokenFile = process.env["OPENHERMIT_JOIN_TOKEN_FILE"] ?? "";
const child = spawn("sleep", ["300"], { detached: true, stdio: "ignore" });
const started = {
  pid: process.pid,
  childPid: child.pid,
  argv: process.argv.slice(1),
  env: process.env,
  token: readFileSync(tokenFile, "utf8"),
  tokenMode: statSync(tokenFile).mode & 0o777,
  homeMode: statSync(home).mode & 0o777,
};
appendFileSync(join(home, "starts.jsonl"), `${JSON.stringify(started)}\n`);

process.on("SIGTERM", () => {
  if (!existsSync(join(home, "ignore-term"))) process.exit(0);
});

setInterval(() => {
  if (!existsSync(join(home, "crash"))) return;
  rmSync(join(home, "crash"));
  process.stderr.write(`\u001b[31mcan't go on\u001b[0m with ${process.env["TEST_API_KEY"] ?? "no key"}\n`);
  process.exit(3);
}, 10);
