import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { LoginService } from "@openhermit/protocol/access/v1/login_service";
import { Role } from "@openhermit/protocol/access/v1/subject";
import { temporaryDirectory, waitFor, type TemporaryDirectory } from "@openhermit/testing";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { browserMissing, startBrowser } from "../fixture/browser.ts";
import { addMember, claimOwnership, PASSWORD } from "../fixture/people.ts";
import { cleanEnvironment, ROOT, startFleet, type Ended, type RunningFleet } from "../fixture/running-fleet.ts";

const missing = browserMissing();
if (missing !== undefined) console.warn(`tests/e2e/login ${missing}`);

const MANIFEST = "agents:\n  one: { model: offline/echo }\n  two: { model: offline/echo, launcher: external }\n";
/** How soon a token that was revoked is dead. */
const REVOKED_MS = 1000;

let fleet: RunningFleet;
let configHome: TemporaryDirectory;
beforeAll(async () => {
  fleet = await startFleet({ manifest: MANIFEST });
  const operator = operatorTransport();
  await claimOwnership(operator, "olga");
  await addMember(operator, "alice", Role.OPERATOR);
}, 120_000);
afterAll(() => fleet.dispose());
beforeEach(async () => (configHome = await temporaryDirectory()));
afterEach(() => configHome.remove());

function operatorTransport() {
  const token = readFileSync(join(fleet.home, "operator-token"), "utf8").trim();
  return transportWith(token);
}

function transportWith(token: string) {
  return createConnectTransport({
    baseUrl: fleet.url,
    httpVersion: "1.1",
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
}

/** What the gateway says of a token: who it is, or with which code it is refused. */
async function holderOf(token: string): Promise<string> {
  try {
    const { identity } = await createClient(LoginService, transportWith(token)).getIdentity({});
    return identity?.subject?.id ?? "";
  } catch (error) {
    return Code[ConnectError.from(error).code] ?? "";
  }
}

/** The surroundings of a person on another machine: contexts of their own, and no home. */
const ofPerson = (): Record<string, string> => ({
  XDG_CONFIG_HOME: configHome.path,
  OPENHERMIT_HOME: "",
  OPENHERMIT_URL: "",
});
const asPerson = (args: readonly string[]): Promise<Ended> => fleet.hermit(args, { env: ofPerson() });

interface StartedLogin {
  readonly child: ChildProcess;
  readonly page: string;
  readonly ended: Promise<Ended>;
}

/** Starts `hermit login` and waits for its link. */
async function startLogin(args: readonly string[]): Promise<StartedLogin> {
  const child = spawn(join(ROOT, "bin/hermit"), ["login", "--url", fleet.url, ...args], {
    env: cleanEnvironment(ofPerson()),
    stdio: ["pipe", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const ended = new Promise<Ended>((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr })));
  const page = await waitFor(() => /https?:\/\/\S+\/cli-login\S+/.exec(stderr)?.[0], { what: "the link of the login" });
  return { child, page, ended };
}

const storedToken = (context: string): string => {
  const file = join(configHome.path, "openhermit/credentials.json");
  return (JSON.parse(readFileSync(file, "utf8")) as Record<string, { token: string }>)[context]?.token ?? "";
};

describe.skipIf(missing !== undefined)("hermit login, with a browser", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await startBrowser();
  }, 60_000);
  afterAll(() => browser.close());

  /** Opens the page of a login as somebody who is not logged in, logs in with the password, and approves. */
  async function approve(link: string): Promise<Page> {
    const page = await (await browser.newContext()).newPage();
    await page.goto(link);
    await page.fill("#member_id", "alice");
    await page.fill("#password", PASSWORD);
    await page.click("button[type=submit]");
    expect(await page.locator("main").innerText()).toContain("wants to act as alice (operator)");
    await page.click("text=Allow");
    return page;
  }

  test("comes back by itself; whoami, a call and logout are alice's, and the token is dead after", async () => {
    const login = await startLogin(["--context", "prod"]);
    const page = await approve(login.page);
    await page.waitForURL(/^http:\/\/127\.0\.0\.1:\d+\/\?code=/);
    expect(await page.locator("body").innerText()).toContain("You are logged in");
    const ended = await login.ended;
    expect(ended).toMatchObject({ code: 0, stdout: "" });
    expect(ended.stderr).toContain("as alice, operator");

    const token = storedToken("prod");
    expect(ended.stderr).not.toContain(token);
    expect(await asPerson(["whoami", "-o", "name"])).toMatchObject({ code: 0, stdout: "alice\n" });
    expect(await asPerson(["agents", "list", "-o", "name"])).toMatchObject({ code: 0, stdout: "one\ntwo\n" });
    expect((await asPerson(["members", "list"])).stderr).toContain("members:read, which alice lacks");
    const chat = await asPerson(["chat", "one", "use echo to say hello"]);
    expect(chat.code).toBe(0);
    expect(await holderOf(token)).toBe("alice");

    expect(await asPerson(["logout"])).toMatchObject({ code: 0 });
    await waitFor(async () => ((await holderOf(token)) === "Unauthenticated" ? true : undefined), {
      deadlineMs: REVOKED_MS,
      what: "the end of the token",
    });
    expect(await asPerson(["whoami"])).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("bin/hermit login --context prod") as string,
    });
    const trail = await fleet.hermit(["audit", "--actor", "alice", "-o", "jsonl"]);
    const actions = trail.stdout.split("\n").flatMap((line) => /"action":"([a-z.-]+)"/.exec(line)?.[1] ?? []);
    expect(actions).toEqual(expect.arrayContaining(["login", "tokens.create", "logout"]));
  }, 60_000);

  test("takes the code that the page shows, where the browser is elsewhere", async () => {
    const login = await startLogin(["--paste"]);
    const page = await approve(login.page);
    const code = await page.locator("code", { hasText: /^[\w-]{20,}$/ }).innerText();
    login.child.stdin?.end(`${code}\n`);
    expect(await login.ended).toMatchObject({ code: 0, stderr: expect.stringContaining("as alice") as string });
    expect(await asPerson(["whoami", "-o", "name"])).toMatchObject({ code: 0, stdout: "alice\n" });
  }, 60_000);
});

test("a token of agents:one:read reads agent one alone, shows when it was used, and ends within a second", async () => {
  const made = await fleet.hermit(["tokens", "create", "--scope", "agents:one:read", "--name", "dashboard"]);
  expect(made.code).toBe(0);
  const token = made.stdout.trim();
  const accessor = /tokens revoke (acc_\w+)/.exec(made.stderr)?.[1] ?? "";
  const listed = async (): Promise<string> =>
    (await fleet.hermit(["tokens", "list", "--all"])).stdout.split("\n").find((line) => line.includes(accessor)) ?? "";
  expect(await listed()).toContain("never");

  const withToken = (args: readonly string[]): Promise<Ended> =>
    fleet.hermit(args, { env: { OPENHERMIT_TOKEN: token } });
  expect(await withToken(["agents", "get", "one", "-o", "name"])).toMatchObject({ code: 0, stdout: "one\n" });
  expect((await withToken(["agents", "get", "two"])).stderr).toContain('agent "two" does not exist');
  for (const args of [
    ["agents", "list"],
    ["agents", "restart", "one"],
    ["chat", "one", "hello"],
    ["logs", "--agent", "one"],
    ["health"],
    ["tokens", "create", "--scope", "agents:one:read"],
  ]) {
    expect(await withToken(args)).toMatchObject({
      code: args[0] === "health" ? 3 : 1,
      stderr: expect.stringContaining("which the token in OPENHERMIT_TOKEN lacks") as string,
    });
  }
  await waitFor(async () => (/\d+s ago/.test(await listed()) ? true : undefined), { what: "when it was last used" });

  expect(await holderOf(token)).not.toBe("Unauthenticated");
  expect(await fleet.hermit(["tokens", "revoke", accessor, "--yes"])).toMatchObject({ code: 0 });
  const revoked = Date.now();
  await waitFor(async () => ((await holderOf(token)) === "Unauthenticated" ? true : undefined), {
    deadlineMs: REVOKED_MS,
    what: "the end of the token",
  });
  expect(Date.now() - revoked).toBeLessThan(REVOKED_MS);
  expect(await withToken(["agents", "get", "one"])).toMatchObject({ code: 4, stdout: "" });
  expect(await listed()).toMatch(/revoked \d+s ago/);
}, 60_000);
