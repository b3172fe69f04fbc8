// A tiny MCP server on standard streams that misbehaves as its first argument says:
// plain, hang-on-start, exit-on-start, exit-on-call, hang-on-call, flood-stderr, changing, noisy-stdout, paged, big,
// tells (its environment variable GIVEN: on stderr, in errors, in answers), tells-and-exits,
// modern-only (knows no protocol revision before 2026-07-28), ignores-signals (and leaves a grandchild), exit-once (by a file named in the second argument).
import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

const [mode, argument] = process.argv.slice(2);
const send = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
const log = [];
let tools = ["ping"];

if (mode === "exit-on-start") {
  process.stderr.write("\x1b[31mno such\x07 database\x1b[0m\n");
  process.exit(3);
}
if (mode === "exit-once" && !existsSync(argument)) {
  writeFileSync(argument, "");
  process.exit(1);
}
if (mode === "tells") process.stderr.write(`starting with ${process.env.GIVEN}\n`);
if (mode === "tells-and-exits") {
  // In two writes and without an end of line, as a crash may leave it.
  const text = `no access with ${process.env.GIVEN}`;
  process.stderr.write(text.slice(0, 20), () => process.stderr.write(text.slice(20), () => process.exit(4)));
}
if (mode === "flood-stderr") {
  const line = `${"flood ".repeat(2000)}\n`;
  const flood = () => process.stderr.write(line.repeat(20), () => setImmediate(flood));
  flood();
}
if (mode === "ignores-signals") {
  process.on("SIGTERM", () => undefined);
  spawn(process.execPath, ["-e", "process.on('SIGTERM',()=>{});setInterval(()=>{},1000)"], { stdio: "ignore" });
}

const modern = { resultType: "complete", ttlMs: 0, cacheScope: "private" };
const answers = {
  "server/discover": () => ({
    supportedVersions: ["2026-07-28"],
    capabilities: { tools: {} },
  }),
  initialize(params) {
    if (mode === "noisy-stdout") process.stdout.write("Welcome to this server!\n{not json\n[]\n");
    return {
      protocolVersion: params.protocolVersion,
      capabilities: { tools: { listChanged: true } },
      serverInfo: { name: mode, version: "1" },
    };
  },
  "tools/list"(params) {
    const page = Number(params?.cursor ?? 0);
    const names = mode === "paged" ? [`tool-${page}`] : tools;
    const inputSchema = { type: "object", properties: { text: { type: "string" } } };
    return {
      tools: names.map((name) => ({ name, inputSchema })),
      ...(mode === "paged" && page < 3 ? { nextCursor: String(page + 1) } : {}),
    };
  },
  "tools/call"(params) {
    if (mode === "exit-on-call") process.exit(7);
    if (mode === "hang-on-call" && params.name === "ping") return undefined;
    if (mode === "tells" && params.arguments.text === "fail") throw new Error(`refused for ${process.env.GIVEN}`);
    if (mode === "changing") {
      tools = ["ping", "pong"];
      send({ method: "notifications/tools/list_changed" });
    }
    const text = mode === "big" ? "x".repeat(400_000) : JSON.stringify({ log, env: process.env, cwd: process.cwd() });
    return { content: [{ type: "text", text }] };
  },
};

if (mode === "hang-on-call") tools.push("log");
createInterface({ input: process.stdin }).on("line", answer);

function answer(line) {
  const { id, method, params = {} } = JSON.parse(line);
  const { _meta: meta } = params;
  log.push({ method, meta });
  if (mode === "modern-only" && method === "initialize") {
    send({ id, error: { code: -32601, message: "Method not found" } });
    return;
  }
  let result;
  try {
    result = mode === "hang-on-start" ? undefined : answers[method]?.(params);
  } catch (error) {
    send({ id, error: { code: -32603, message: error.message } });
    return;
  }
  if (result !== undefined) send({ id, result: mode === "modern-only" ? { ...modern, ...result } : result });
}
