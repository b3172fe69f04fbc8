import { connect as http2Connect } from "node:http2";

import { HealthState } from "@openhermit/protocol/health/v1/health";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { NARROW, NOBODY, OPERATOR, startWeb, type TestWeb } from "./test/web-fixture.ts";

let web: TestWeb;

beforeEach(async () => {
  web = await startWeb();
});
afterEach(() => web.close());

const get = (path: string, init: RequestInit = {}) => fetch(web.url + path, { redirect: "manual", ...init });
const PAGE = { accept: "text/html,application/xhtml+xml" };

describe("/livez", () => {
  test("answers as long as the loop turns, also over HTTP/2", async () => {
    expect(await (await get("/livez")).text()).toBe("ok\n");
    const session = http2Connect(web.url);
    const stream = session.request({ ":path": "/livez" });
    let text = "";
    for await (const chunk of stream.setEncoding("utf8")) {
      text += chunk as string;
    }
    session.close();
    expect(text).toBe("ok\n");
  });
});

describe("/health", () => {
  test.each([
    [HealthState.OK, 200, "OK"],
    [HealthState.DEGRADED, 200, "DEGRADED"],
    [HealthState.DOWN, 503, "DOWN"],
  ])("%s answers %s, and tells nobody more than the word", async (now, status, word) => {
    web.health = now;
    for (const headers of [{}, NOBODY]) {
      const answer = await get("/health", { headers });
      expect([answer.status, await answer.text()]).toEqual([status, JSON.stringify({ status: word })]);
    }
    const operator = await get("/health", { headers: OPERATOR });
    expect(operator.status).toBe(status);
    expect(await operator.json()).toMatchObject({
      state: `HEALTH_STATE_${word}`,
      agents: [{ agentId: "one" }, { agentId: "two" }],
    });
  });

  test("shows the agents in reach, and the word also while nobody can be known", async () => {
    const narrow = await (await get("/health", { headers: NARROW })).json();
    expect(narrow).toMatchObject({ agents: [{ agentId: "one" }] });
    web.databaseAway = true;
    web.health = HealthState.DOWN;
    const away = await get("/health", { headers: NARROW });
    expect([away.status, await away.json()]).toEqual([503, { status: "DOWN" }]);
  });

  test("takes no invalid credential for none", async () => {
    expect((await get("/health", { headers: { authorization: "Bearer wrong" } })).status).toBe(401);
  });
});

describe("/metrics", () => {
  test("need a credential with the right, on loopback too", async () => {
    const anonymous = await get("/metrics");
    expect([anonymous.status, anonymous.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
    expect(await anonymous.json()).toMatchObject({ reason: "CREDENTIAL_MISSING" });
    const nobody = await get("/metrics", { headers: NOBODY });
    expect([nobody.status, await nobody.json()]).toMatchObject([403, { reason: "RIGHT_MISSING" }]);
    expect(web.denials).toMatchObject([{ action: "GET /metrics", actor: { subject: { id: "nobody" } } }]);
    expect(await (await get("/metrics", { headers: OPERATOR })).text()).toContain('agent_id="two"');
    const narrow = await (await get("/metrics", { headers: NARROW })).text();
    expect(narrow).toBe('openhermit_links 1\nturns{agent_id="one"} 1\n');
  });

  test("say that they are not available while nobody can be known, but to the operator of the host", async () => {
    web.databaseAway = true;
    const away = await get("/metrics", { headers: NARROW });
    expect([away.status, away.headers.get("retry-after")]).toEqual([503, "5"]);
    expect((await get("/metrics", { headers: OPERATOR })).status).toBe(200);
  });
});

describe("any other path", () => {
  test.each([
    ["GET", "/no/such/path"],
    ["POST", "/openhermit.fleet.v1.NoService/GetAgent"],
    ["HEAD", "/login"],
    ["GET", "/__proto__"],
    ["POST", "/login-links"],
  ])("%s %s is 401 without a credential, 404 with one, whatever the body", async (method, path) => {
    const headers = { "content-type": "application/json" };
    const init = method === "POST" ? { method, body: "x".repeat(20_000), headers } : { method };
    expect((await get(path, init)).status).toBe(401);
    expect((await get(path, { ...init, headers: { ...headers, ...OPERATOR } })).status).toBe(404);
  });

  test("shows a browser the login, and leads there afterwards", async () => {
    const page = await get("/no/such/path?x=1", { headers: PAGE });
    expect(page.status).toBe(401);
    expect(await page.text()).toContain('name="next" value="/no/such/path?x=1"');
  });

  test("breaks nothing with a path that can't be read", async () => {
    expect((await get("/%")).status).toBeLessThan(500);
    expect((await get(`/${"%ff".repeat(100)}`)).status).toBeLessThan(500);
  });
});

describe("the status page", () => {
  test("shows the fleet, escaped, without a script or an inline style", async () => {
    web.health = HealthState.DEGRADED;
    web.displayName = "<b>Alice</b>";
    const page = await get("/", { headers: { cookie: web.sessionOf("alice").cookie } });
    expect(page.headers.get("content-security-policy")).toBe(
      "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    );
    expect(page.headers.get("cache-control")).toBe("no-store");
    const text = await page.text();
    for (const expected of [
      "DEGRADED",
      "crashed",
      "offline/echo",
      "The &quot;&amp;&quot; one",
      "the &lt;database&gt; is",
      "&lt;b&gt;Alice&lt;/b&gt; (alice)",
      "operator",
    ]) {
      expect(text).toContain(expected);
    }
    expect(text).toContain("/?page_token=a%20b");
    expect(text).not.toMatch(/<script|style=|onclick|<b>/i);
    expect((await get("/assets/pages.css")).headers.get("content-type")).toMatch(/^text\/css/);
  });

  test("shows agents in reach only", async () => {
    const narrow = await (await get("/", { headers: { cookie: web.sessionOf("narrow").cookie } })).text();
    expect(narrow).toMatch(/<th scope="row">\s*one/);
    expect(narrow).not.toMatch(/<th scope="row">\s*two/);
    const nobody = await (await get("/", { headers: { cookie: web.sessionOf("nobody").cookie } })).text();
    expect(nobody).toContain("No agents that you may see");
    expect(nobody).not.toContain("overall");
  });

  test("stays when the agents can't be read", async () => {
    web.agentsFail = true;
    web.health = HealthState.DOWN;
    const page = await get("/", { headers: { cookie: web.sessionOf("alice").cookie } });
    expect(page.status).toBe(200);
    expect(await page.text()).toContain("The agents can't be read now");
  });

  test("is no page for a bearer token: a browser has none", async () => {
    expect((await get("/", { headers: OPERATOR })).status).toBe(401);
  });
});
