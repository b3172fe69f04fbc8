import { once } from "node:events";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { HealthState } from "@openhermit/protocol/health/v1/health";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { waitFor } from "@openhermit/testing";
import { afterEach, beforeEach, expect, test } from "vitest";

import { memoryJournal, type MemoryJournal } from "../runtime/test/memory-journal.ts";
import { snapshotOf, testRuntime, turnOf, type TestRuntime } from "../runtime/test/test-runtime.ts";
import { childrenOf, EVERYTHING, MISBEHAVING, stdio, type Server } from "./test/test-servers.ts";

const SECRET = "v3ry/secret+value";
const never = new AbortController().signal;

let one: TestRuntime;
let web: HttpServer;
let seen: (string | undefined)[];
beforeEach(async () => {
  one = await testRuntime({
    OPENHERMIT_MCP_SECRETS: "GIT_TOKEN, MISSING_TOKEN",
    GIT_TOKEN: SECRET,
    OTHER_TOKEN: "must not be passed on",
  });
  seen = [];
  // Repeats the header it does not like, as real gateways do.
  web = createServer((request, response) => {
    seen.push(request.headers.authorization);
    response.writeHead(403, { "content-type": "text/plain" });
    response.end(
      `forbidden for "${request.headers.authorization}", ${encodeURIComponent(request.headers.authorization ?? "")}`,
    );
  }).listen(0, "127.0.0.1");
  await once(web, "listening");
});
afterEach(async () => {
  await one.close();
  web.closeAllConnections();
  web.close();
  // Nothing that is written down has the value, in whatever form.
  const written = JSON.stringify([one.log.records(), one.runtime.health()], (_key, value: unknown) =>
    typeof value === "bigint" ? String(value) : value,
  );
  expect(written.length).toBeGreaterThan(10);
  for (const form of [SECRET, encodeURIComponent(SECRET), SECRET.slice(3)]) expect(written).not.toContain(form);
  if (childrenOf(one.owner).length > 0) throw new Error("processes are left after close");
});

const apply = (...servers: Server[]) => one.runtime.apply(snapshotOf({ servers }));
const tells = (mode: string, given = "${secret.GIT_TOKEN}"): Server => ({
  id: "git",
  transport: { case: "stdio", value: { command: "node", args: [MISBEHAVING, mode], env: { GIVEN: given } } },
});
const overHttp = (headers: Record<string, string>): Server => ({
  id: "git",
  transport: { case: "http", value: { url: `http://127.0.0.1:${(web.address() as AddressInfo).port}/mcp`, headers } },
});
const stateOf = (state: HealthState, id = "git") =>
  waitFor(() => one.runtime.health().find((component) => component.name === `mcp:${id}` && component.state === state), {
    what: `mcp:${id} to be in state ${state}`,
    deadlineMs: 20_000,
  });
async function say(message: string): Promise<MemoryJournal> {
  const journal = memoryJournal("t1", message);
  expect(await one.runtime.runTurn(turnOf(), journal, never)).toMatchObject({ state: TurnState.SUCCEEDED });
  return journal;
}

test("a secret is in the child's environment, and struck out of all that the child says", async () => {
  await apply(tells("tells", "Bearer ${secret.GIT_TOKEN}"));
  await stateOf(HealthState.OK);
  await waitFor(() => one.log.records().some(({ line }) => line === "starting with Bearer [secret]"), {
    what: "its words",
  });
  // The whole environment is in the answer: the variable is there, its value is not.
  const [use] = (await say('use ping with {"text": "x"}')).uses;
  expect(use?.result).toContain('"GIVEN":"Bearer [secret]"');
  expect(use?.result).not.toContain("OTHER_TOKEN");
  const [failed] = (await say('use ping with {"text": "fail"}')).uses;
  expect(failed).toMatchObject({ isError: true });
  expect(failed?.result).toContain("refused for Bearer [secret]");
});

test("a child that ends with a secret as its last words does not bring it into its health", async () => {
  await apply(tells("tells-and-exits"));
  const { detail, lastError } = await stateOf(HealthState.DOWN);
  expect(lastError).toBe("It exited with code 4; the last it said was: no access with [secret].");
  expect(detail).toContain(lastError);
});

test("a secret is in the header, and struck out of what the server answers", async () => {
  await apply(overHttp({ authorization: "token ${secret.GIT_TOKEN}" }));
  const { detail } = await stateOf(HealthState.DOWN);
  expect(seen[0]).toBe(`token ${SECRET}`);
  expect(detail).toContain('forbidden for "token [secret]", token%20[secret]');
});

test("a value that no header can have is struck out of the error that says so", async () => {
  await one.close();
  one = await testRuntime({ OPENHERMIT_MCP_SECRETS: "GIT_TOKEN", GIT_TOKEN: `${SECRET}\nmore` });
  await apply(overHttp({ authorization: "${secret.GIT_TOKEN}" }));
  const { detail } = await stateOf(HealthState.DOWN);
  expect(detail).toMatch(/invalid/i);
  expect(seen).toEqual([]);
});

test("a variable that is not set is the fault of that server alone, and is not tried again", async () => {
  await apply(tells("plain", "${secret.MISSING_TOKEN}"), stdio("everything", [EVERYTHING]));
  const down = await stateOf(HealthState.DOWN);
  expect(down.detail).toBe(
    "The variable MISSING_TOKEN is not set in the environment of the agent's sidecar. Set it where the gateway runs, start the gateway again, and restart the agent.",
  );
  expect(down.lastError).toBe(down.detail);
  expect((await say("use echo to say hello")).uses[0]?.result).toBe("Echo: hello");
  const until = performance.now() + 1500;
  await waitFor(() => performance.now() > until, { what: "some time" });
  expect(one.log.records().filter(({ msg }) => msg === "mcp server lacks a secret")).toHaveLength(1);
  await apply(tells("plain"), stdio("everything", [EVERYTHING]));
  await stateOf(HealthState.OK);
});
