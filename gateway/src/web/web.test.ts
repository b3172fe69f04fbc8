import { connect as http2Connect } from "node:http2";

import { create } from "@bufbuild/protobuf";
import { AgentSchema, AgentState } from "@openhermit/protocol/fleet/v1/agent";
import { FleetHealthSchema, HealthState } from "@openhermit/protocol/health/v1/health";
import { testLog } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { listen, type Listener } from "../listener/listener.ts";
import { createBrowserSessions } from "./browser-session.ts";
import { createLoginCodes } from "./login-codes.ts";
import { createWeb, loginPath, type WebOptions } from "./web.ts";

const OPERATOR = { authorization: "Bearer operator" };
const codes = createLoginCodes();
const key = new Uint8Array(32).fill(7);
let listener: Listener;
let state: HealthState;
let agentsFail: boolean;

async function start(options: Partial<WebOptions> = {}): Promise<void> {
  const handler = await createWeb({
    version: "1.2.3",
    log: testLog(),
    codes,
    sessions: createBrowserSessions({ key, secure: false }),
    url: () => listener.url,
    isOperator: async (headers) => headers.get("authorization") === OPERATOR.authorization,
    health: async () =>
      create(FleetHealthSchema, { state, reasons: state === HealthState.OK ? [] : ["the <database> is away"] }),
    agents: async () => {
      if (agentsFail) {
        throw new Error("no database");
      }
      const status = { state: AgentState.CRASHED, detail: "<script>alert(1)</script>", desiredGeneration: 7n };
      const agent = create(AgentSchema, { id: "one", displayName: 'One "&"', spec: { model: "offline/echo" }, status });
      return { agents: [agent], nextPageToken: "a b" };
    },
    metrics: async () => "openhermit_links 1\n",
    openMetrics: true,
    ...options,
  });
  listener = await listen({ host: "127.0.0.1", port: 0, handler, log: testLog() });
}

const get = (path: string, init: RequestInit = {}) => fetch(listener.url + path, { redirect: "manual", ...init });

beforeEach(async () => {
  state = HealthState.OK;
  agentsFail = false;
  await start();
});
afterEach(() => listener.close(0));

describe("plain endpoints", () => {
  test("livez answers as long as the loop turns, also over HTTP/2", async () => {
    expect(await (await get("/livez")).text()).toBe("ok\n");
    const session = http2Connect(listener.url);
    const stream = session.request({ ":path": "/livez" });
    let text = "";
    for await (const chunk of stream.setEncoding("utf8")) {
      text += chunk as string;
    }
    session.close();
    expect(text).toBe("ok\n");
  });

  test.each([
    [HealthState.OK, 200, "OK"],
    [HealthState.DEGRADED, 200, "DEGRADED"],
    [HealthState.DOWN, 503, "DOWN"],
  ])("health %s answers %s, and tells more only to the operator", async (now, status, word) => {
    state = now;
    const anonymous = await get("/health");
    expect(anonymous.status).toBe(status);
    expect(await anonymous.json()).toEqual({ status: word });
    const operator = await get("/health", { headers: OPERATOR });
    expect(operator.status).toBe(status);
    expect(await operator.json()).toMatchObject({ state: `HEALTH_STATE_${word}` });
  });

  test("metrics are open on loopback only", async () => {
    expect(await (await get("/metrics")).text()).toBe("openhermit_links 1\n");
    await listener.close(0);
    await start({ openMetrics: false });
    expect((await get("/metrics")).status).toBe(404);
    expect((await get("/metrics", { headers: OPERATOR })).status).toBe(200);
  });

  test("an unknown path and an oversized body are refused without a word of the inside", async () => {
    expect((await get("/no/such/path")).status).toBe(404);
    const body = await get("/login-links", { method: "POST", body: "x".repeat(5000), headers: OPERATOR });
    expect(body.status).toBeGreaterThanOrEqual(400);
    expect(body.status).toBeLessThan(500);
  });
});

describe("browser", () => {
  const login = async (code = codes.create()) => get(loginPath(code));
  const cookieOf = (response: Response) => response.headers.get("set-cookie")?.split(";")[0] ?? "";

  test("a login link opens one session, once", async () => {
    const code = codes.create();
    expect((await get(loginPath(code), { method: "HEAD" })).status).toBe(404);
    const first = await login(code);
    expect([first.status, first.headers.get("location")]).toEqual([303, "/"]);
    expect(first.headers.get("set-cookie")).toMatch(/; HttpOnly; SameSite=Lax$/);
    expect((await get("/", { headers: { cookie: cookieOf(first) } })).status).toBe(200);
    const second = await login(code);
    expect([second.status, second.headers.get("set-cookie")]).toEqual([403, null]);
    expect((await login("made-up")).status).toBe(403);
  });

  test("without a session, or with a forged or older one, sees how to log in and nothing else", async () => {
    const forged = createBrowserSessions({ key: new Uint8Array(32).fill(8), secure: false });
    const cookies = ["", "openhermit_session=x.y.z", (await forged.open()).split(";")[0] ?? ""];
    for (const cookie of cookies) {
      const page = await get("/", { headers: { cookie } });
      expect(page.status).toBe(401);
      const text = await page.text();
      expect(text).toContain("login link");
      expect(text).not.toContain("offline/echo");
    }
  });

  test("a new login link is made for the operator only", async () => {
    expect((await get("/login-links", { method: "POST" })).status).toBe(401);
    const made = await get("/login-links", { method: "POST", headers: OPERATOR });
    const { url } = (await made.json()) as { url: string };
    expect((await fetch(url, { redirect: "manual" })).status).toBe(303);
  });

  test("the status page shows the fleet, escaped, without a script or an inline style", async () => {
    state = HealthState.DEGRADED;
    const page = await get("/", { headers: { cookie: cookieOf(await login()) } });
    expect(page.headers.get("content-security-policy")).toBe(
      "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    const text = await page.text();
    for (const expected of [
      "DEGRADED",
      "crashed",
      "offline/echo",
      "One &quot;&amp;&quot;",
      "the &lt;database&gt; is",
    ]) {
      expect(text).toContain(expected);
    }
    expect(text).toContain("/?page_token=a%20b");
    expect(text).not.toMatch(/<script|style=|onclick/i);
    expect((await get("/assets/pages.css")).headers.get("content-type")).toMatch(/^text\/css/);
  });

  test("the status page stays when the agents can't be read", async () => {
    state = HealthState.DOWN;
    agentsFail = true;
    const page = await get("/", { headers: { cookie: cookieOf(await login()) } });
    expect(page.status).toBe(200);
    expect(await page.text()).toContain("The agents can't be read now");
  });
});

describe("login codes", () => {
  test("end after twelve hours, and only the newest hundred are kept", () => {
    let now = 0;
    const limited = createLoginCodes(() => now);
    const oldest = limited.create();
    const others = Array.from({ length: 100 }, () => limited.create());
    expect(limited.consume(oldest)).toBe(false);
    expect(limited.consume(others[0] ?? "")).toBe(true);
    now = 12 * 3_600_000 + 1;
    expect(limited.consume(others[1] ?? "")).toBe(false);
  });
});
