import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { AgentState } from "@openhermit/protocol/fleet/v1/agent";
import { FleetService, type WatchAppliedResponseSchema } from "@openhermit/protocol/fleet/v1/fleet_service";
import { PassThrough } from "node:stream";
import { afterEach, expect, it } from "vitest";
import { readConfig } from "../config.ts";
import type { Cli } from "../cli.ts";
import { createGateway, type Gateway } from "../gateway-client.ts";
import { createTerminal } from "../output/terminal.ts";
import { startTestGateway, TOKEN, type TestGateway } from "../test/test-gateway.ts";
import { waitApplied } from "./wait-applied.ts";

type Message = MessageInitShape<typeof WatchAppliedResponseSchema>;
type Watch = (call: number, agentIds: readonly string[], signal: AbortSignal) => AsyncIterable<Message>;

let server: TestGateway | undefined;
let gateway: Gateway | undefined;
afterEach(async () => {
  gateway?.close();
  await server?.close();
});

/** A wait against a server that answers so; what was said, and how to press Ctrl-C. */
async function waiting(watch: Watch, options: { timeoutMs?: number; isTTY?: boolean; quiet?: boolean } = {}) {
  let calls = 0;
  server = await startTestGateway((router) =>
    router.service(FleetService, {
      watchApplied: ({ agentIds }, { signal }) => watch((calls += 1), agentIds, signal),
    }),
  );
  gateway = createGateway({ url: server.url, token: TOKEN });
  const stderr = Object.assign(new PassThrough(), { isTTY: options.isTTY ?? false });
  let said = "";
  stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  let interrupt = (): void => undefined;
  const cli: Cli = {
    config: readConfig({}),
    terminal: createTerminal({ stdout: new PassThrough(), stderr, color: "never", noColor: true }),
    stdin: new PassThrough(),
    onInterrupt: (listener) => {
      interrupt = () => listener("SIGINT");
      return () => undefined;
    },
    gateway: () => Promise.reject(new Error("is handed over")),
    hostGateway: () => Promise.reject(new Error("is handed over")),
    setExitCode: () => undefined,
  };
  const { timeoutMs = 20_000, quiet = false } = options;
  const done = waitApplied(cli, gateway, { agentIds: ["one", "two"], timeoutMs, quiet });
  return { done, said: () => said, interrupt: () => interrupt(), calls: () => calls };
}

const behind = (agentId: string, more: object = {}) => ({ agentId, state: AgentState.ONLINE, ...more });

it("follows until all have applied it, and rewrites one line on a terminal", async () => {
  let named: readonly string[] = [];
  const wait = await waiting(
    async function* (_, agentIds) {
      named = agentIds;
      yield { totalCount: 2, appliedCount: 1, behind: [behind("two")], behindCount: 1 };
      yield { totalCount: 2, appliedCount: 2, stoppedCount: 1 };
    },
    { isTTY: true },
  );
  expect(await wait.done).toBe(true);
  expect(named).toEqual(["one", "two"]);
  expect(wait.said()).toMatch(
    // oxlint-disable-next-line eslint/no-control-regex -- what rewrites a line is what is tested
    /^\r\u001b\[2K1 of 2 applied, waiting for two\r\u001b\[2K2 of 2 applied \(\d+ m?s\); 1 stopped agent applies it at its next start\n$/,
  );
});

it("says off a terminal at most a line a second, and the last word always", async () => {
  const wait = await waiting(async function* () {
    for (let applied = 0; applied < 200; applied += 1) {
      yield { totalCount: 200, appliedCount: applied, behind: [behind("two")], behindCount: 200 - applied };
    }
    yield { totalCount: 200, appliedCount: 200 };
  });
  expect(await wait.done).toBe(true);
  const lines = wait.said().trimEnd().split("\n");
  expect(lines.length).toBeLessThan(20);
  expect(lines.at(-1)).toMatch(/^200 of 200 applied/);
  expect(wait.said()).not.toContain("\r");
});

it("says nothing when quiet and all goes well", async () => {
  const wait = await waiting(
    async function* () {
      yield { totalCount: 2, appliedCount: 2 };
    },
    { quiet: true },
  );
  expect(await wait.done).toBe(true);
  expect(wait.said()).toBe("");
});

it("goes on after a connection that broke, and after a stream that ended early", async () => {
  const wait = await waiting(async function* (call) {
    yield { totalCount: 2, appliedCount: 0, behind: [behind("one"), behind("two")], behindCount: 2 };
    if (call === 1) server?.breakConnections();
    if (call === 3) yield { totalCount: 2, appliedCount: 2 };
  });
  expect(await wait.done).toBe(true);
  expect(wait.calls()).toBe(3);
});

it("lists at the end of the time who is behind and why", async () => {
  const wait = await waiting(
    async function* (_call, _ids, signal) {
      yield {
        totalCount: 4,
        appliedCount: 1,
        behindCount: 3,
        behind: [
          behind("two", { rejectedReason: "unknown\u001b[2J provider" }),
          behind("three", { state: AgentState.UNREACHABLE, detail: "no word for 12 s" }),
          behind("four"),
        ],
      };
      await sleep(30_000, undefined, { signal }).catch(() => undefined);
    },
    { timeoutMs: 500 },
  );
  expect(await wait.done).toBe(false);
  expect(wait.said()).toMatch(/^1 of 4 applied after \d+(\.\d)? m?s; behind:$/m);
  expect(wait.said()).toContain("\n  two    rejected: unknown provider\n");
  expect(wait.said()).toContain("\n  three  unreachable: no word for 12 s\n");
  expect(wait.said()).toContain("\n  four   online: has not applied any configuration yet\n");
});

it("does not wait out the time when all that are behind have rejected it", async () => {
  const wait = await waiting(
    async function* (_call, _ids, signal) {
      yield { totalCount: 2, appliedCount: 1, behindCount: 1, behind: [behind("two", { rejectedReason: "no" })] };
      await sleep(60_000, undefined, { signal }).catch(() => undefined);
    },
    { timeoutMs: 3_600_000 },
  );
  expect(await wait.done).toBe(false);
  expect(wait.said()).toContain("two  rejected: no");
});

it("ends with 130 at Ctrl-C, and says that the change goes on by itself", async () => {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const wait = await waiting(async function* (_call, _ids, signal) {
    yield { totalCount: 2, appliedCount: 1, behindCount: 1, behind: [behind("two")] };
    open();
    await sleep(30_000, undefined, { signal }).catch(() => undefined);
  });
  await opened;
  wait.interrupt();
  await expect(wait.done).rejects.toMatchObject({ exitCode: 130, why: expect.stringContaining("by themselves") });
});

it("does not go on trying when the gateway refuses it", async () => {
  // oxlint-disable-next-line eslint/require-yield -- it refuses before its first message
  const wait = await waiting(async function* () {
    throw new ConnectError('agent "two" does not exist', Code.NotFound);
  });
  await expect(wait.done).rejects.toMatchObject({ code: Code.NotFound });
  expect(wait.calls()).toBe(1);
});
