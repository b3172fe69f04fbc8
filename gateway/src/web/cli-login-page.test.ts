import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { createPageVisitor, type PageVisitor } from "./test/page-visitor.ts";
import { PASSWORD, startWeb, type TestWeb } from "./test/web-fixture.ts";

const CHALLENGE = "c".repeat(43);
const HOUR_MS = 3_600_000;
let web: TestWeb;
let visitor: PageVisitor;

beforeEach(async () => {
  web = await startWeb();
  visitor = createPageVisitor(web.url);
});
afterEach(() => web.close());

const path = (more: Record<string, string> = {}) =>
  `/cli-login?${new URLSearchParams({ challenge: CHALLENGE, name: "alice on laptop", ...more }).toString()}`;
const enter = (loginTime?: Date) => visitor.cookies.set("openhermit_session", web.sessionOf("alice", loginTime).secret);

describe("the login of a command line", () => {
  test("asks first, and hands the code over to the port where it waits", async () => {
    enter();
    const asked = path({ port: "40123", state: "s-1" });
    const page = await visitor.open(asked);
    expect(page.text).toContain("alice on laptop");
    expect(page.text).toContain("Alice (alice)");
    expect(page.headers.get("content-security-policy")).toContain("form-action 'self' http://127.0.0.1:40123;");
    expect(web.calls).toEqual([]);
    const allowed = await visitor.submit(asked, "/cli-login", {});
    expect(allowed.status).toBe(303);
    expect(allowed.location).toMatch(/^http:\/\/127\.0\.0\.1:40123\/\?code=[\w-]{43}&state=s-1$/);
    const argument = { subject: { id: "alice" }, challenge: CHALLENGE, deviceName: "alice on laptop" };
    expect(web.calls).toMatchObject([{ name: "createTokenCode", argument }]);
  });

  test("shows the code where nothing waits", async () => {
    enter();
    const page = await visitor.submit(path(), "/cli-login", {});
    expect(page.status).toBe(200);
    expect(page.text).toMatch(/<code>[\w-]{43}<\/code>/);
    expect(page.headers.get("content-security-policy")).toContain("form-action 'self';");
  });

  test("leads through the login and back", async () => {
    const asked = path({ port: "40123", state: "s-1" });
    const away = await visitor.open(asked);
    expect(away.status).toBe(303);
    const login = await visitor.submit(away.location ?? "", "/login", { member_id: "alice", password: PASSWORD });
    const back = new URL(login.location ?? "", web.url);
    expect(back.pathname).toBe("/cli-login");
    expect(Object.fromEntries(back.searchParams)).toEqual(Object.fromEntries(new URL(asked, web.url).searchParams));
    expect((await visitor.open(login.location ?? "")).text).toContain("wants to act as");
  });

  test("wants a login of the last hour, or an old session would become a new login", async () => {
    enter(new Date(Date.now() - HOUR_MS - 1_000));
    const away = await visitor.open(path());
    expect(away.location).toMatch(/^\/login\?next=.*notice=again$/);
    expect((await visitor.post("/cli-login", { challenge: CHALLENGE })).location).toMatch(/^\/login\?/);
    enter(new Date(Date.now() - HOUR_MS + 60_000));
    expect((await visitor.open(path())).status).toBe(200);
    expect(web.calls).toEqual([]);
  });

  test("is allowed by the form of this session only", async () => {
    enter();
    const fields = { challenge: CHALLENGE, name: "x", port: "", state: "" };
    expect((await visitor.post("/cli-login", fields)).status).toBe(403);
    const foreign = { headers: { origin: "https://evil.example" } };
    expect((await visitor.submit(path(), "/cli-login", {}, foreign)).status).toBe(403);
    const { secret } = web.sessionOf("bob");
    const other = createPageVisitor(web.url);
    other.cookies.set("openhermit_session", secret);
    const { text } = await other.open(path());
    const token = /name="form_token" value="([\w-]+)"/.exec(text)?.[1] ?? "";
    expect(token).toHaveLength(43);
    expect((await visitor.post("/cli-login", { ...fields, form_token: token })).status).toBe(403);
    expect(web.calls).toEqual([]);
    expect(web.denials.at(-1)).toMatchObject({ reason: "FORM_EXPIRED", actor: { subject: { id: "alice" } } });
  });

  test.each([
    { challenge: "short" },
    { port: "80" },
    { port: "70000" },
    { port: "40123@evil.example" },
    { state: "a b" },
    { name: "x".repeat(65) },
  ])("with %j is refused", async (more) => {
    enter();
    const page = await visitor.open(path(more));
    expect(page.status).toBe(400);
    expect(page.text).toContain("hermit login");
  });

  test("shows what the command line calls itself as text", async () => {
    enter();
    const page = await visitor.open(path({ name: "</strong><script>alert(1)</script>" }));
    expect(page.text).toContain("&lt;script&gt;");
    expect(page.text).not.toContain("<script");
  });
});
