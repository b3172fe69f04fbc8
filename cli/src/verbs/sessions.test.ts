import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runHermit } from "../test/run-hermit.ts";
import { startTestGateway, type TestGateway } from "../test/test-gateway.ts";

const session = { id: "s1", agentId: "one", key: "agent:one:cli:dm:ann", userId: "ann", channel: "cli", turnCount: 1 };
const call = { callId: "c", name: "everything__echo", argumentsJson: '{"message":"hi"}' };
const time = timestampFromDate(new Date(2020, 0, 2, 3, 4, 5, 6));
const ENTRIES = [
  { case: "userMessage" as const, value: { text: "use echo\nto say hi" } },
  { case: "assistantMessage" as const, value: { step: 1, toolCalls: [call] } },
  { case: "toolResult" as const, value: { callId: "c", name: call.name, text: "Echo:\u001b[2J hi", isError: false } },
  { case: "assistantMessage" as const, value: { step: 2, text: "It says\u0007 hi" } },
].map((entry, index) => ({ position: BigInt(index + 1), time, entry }));

function notFound(reason: string): ConnectError {
  const details = [{ desc: ErrorDetailSchema, value: { reason, hint: "List them." } }];
  return new ConnectError("it does not exist", Code.NotFound, undefined, details);
}

let gateway: TestGateway;
const asked: object[] = [];
beforeAll(async () => {
  gateway = await startTestGateway((router) => {
    router.service(FleetService, {
      getAgent: ({ agentId }) => {
        if (agentId !== "idle") throw notFound("AGENT_NOT_FOUND");
        return { agent: { id: agentId } };
      },
    });
    router.service(SessionService, {
      listSessions: (request) => {
        asked.push(request);
        if (request.agentId !== "" && request.agentId !== "one") return {};
        return { sessions: [{ ...session, title: "use\u001b[31m echo" }], nextPageToken: "more" };
      },
      getSession: ({ sessionId }) => {
        if (sessionId !== "s1") throw notFound("SESSION_NOT_FOUND");
        return { session };
      },
      // Two entries a page.
      listTranscript: ({ afterPosition }) => ({
        entries: ENTRIES.filter(({ position }) => position > afterPosition).slice(0, 2),
      }),
    });
  });
});
afterAll(() => gateway.close());

const run = (...args: string[]) => runHermit(["sessions", ...args], { home: gateway.home });

describe("hermit sessions", () => {
  it("lists them, and says that there are more", async () => {
    const { code, stdout, stderr } = await run("list", "--agent", "one", "--limit", "1");
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^SESSION +AGENT +CHANNEL +USER +TURNS +ACTIVE +TITLE\ns1 +one +cli +ann +1 +- +use echo\n$/,
    );
    expect(stderr).toContain("There are more");
    expect(asked.at(-1)).toMatchObject({ agentId: "one", pageSize: 1 });
    expect((await run("ls", "-o", "name")).stdout).toBe("s1\n");
  });

  it("tells an agent without sessions from one that does not exist", async () => {
    expect(await run("list", "--agent", "idle")).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("No sessions"),
    });
    expect(await run("list", "--agent", "typo")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("does not exist"),
    });
  });

  it("shows a transcript of several pages as text, without control characters", async () => {
    const { code, stdout } = await run("show", "s1");
    expect(code).toBe(0);
    expect(stdout.split("\n")).toEqual([
      "one  s1  agent:one:cli:dm:ann",
      "",
      "2020-01-02 03:04:05.006 ann",
      "use echo",
      "to say hi",
      "",
      "2020-01-02 03:04:05.006 one",
      '→ everything__echo {"message":"hi"}',
      "✓ everything__echo : Echo: hi",
      "",
      "2020-01-02 03:04:05.006 one",
      "It says hi",
      "",
    ]);
  });

  it("shows it as JSON, as it is stored", async () => {
    const { stdout } = await run("show", "s1", "-o", "json");
    const { entries, ...rest } = JSON.parse(stdout) as { entries: object[] };
    expect(rest).toMatchObject({ session: { id: "s1" } });
    expect(entries).toHaveLength(4);
    expect(
      (await run("show", "s1", "-o", "jsonl")).stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as object),
    ).toEqual(entries);
  });

  it("says of one that does not exist how to find one", async () => {
    expect(await run("show", "s2")).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringContaining("next: bin/hermit sessions list"),
    });
  });
});
