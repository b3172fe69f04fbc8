import { request as httpsRequest } from "node:https";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { selfSignedCertificate } from "../test/self-signed-certificate.ts";
import { createPageVisitor, hiddenFields, type PageVisitor } from "./test/page-visitor.ts";
import { PASSWORD, startWeb, type TestWeb } from "./test/web-fixture.ts";
import { loginPath } from "./web.ts";

let web: TestWeb;
let visitor: PageVisitor;

beforeEach(async () => {
  web = await startWeb();
  visitor = createPageVisitor(web.url);
});
afterEach(() => web.close());

const ALICE = { member_id: "alice", password: PASSWORD };
const logIn = (fields: Record<string, string> = ALICE, init?: RequestInit) =>
  visitor.submit("/login", "/login", fields, init);

describe("a password", () => {
  test("opens a session that shows the fleet, and leads on to a path of the gateway", async () => {
    const login = await visitor.submit("/login?next=/%3Fpage_token=x", "/login", ALICE);
    expect([login.status, login.location]).toEqual([303, "/?page_token=x"]);
    const page = await visitor.open("/");
    expect(page.status).toBe(200);
    expect(page.text).toContain("Alice (alice)");
    expect(page.text).toContain("offline/echo");
  });

  test("that is wrong gets the answer that an unknown member gets", async () => {
    const wrong = await logIn({ ...ALICE, password: "wrong" });
    const unknown = await logIn({ ...ALICE, member_id: "nobody" });
    expect([wrong.status, unknown.status]).toEqual([401, 401]);
    const same = (text: string) => text.replaceAll(/value="[^"]*"/g, "");
    expect(same(wrong.text)).toBe(same(unknown.text));
    expect(wrong.text).toContain('role="alert"');
    expect(wrong.text).toContain('value="alice"');
    expect(wrong.text + unknown.text).not.toContain("what was wrong");
    expect(wrong.text).not.toContain('value="wrong"');
    expect(visitor.cookies.has("openhermit_session")).toBe(false);
  });

  test("that is missing is asked for beside its field", async () => {
    const page = await logIn({ member_id: "alice", password: "" });
    expect(page.status).toBe(400);
    expect(page.text).toMatch(/id="password-error"[^>]*>.*Enter your password/);
    expect(page.text).toMatch(/<input\s+id="password"[^>]*aria-describedby="password-error"[^>]*aria-invalid="true"/);
    expect(web.calls).toEqual([]);
  });

  test("is not guessed more than ten times from one address", async () => {
    const { text } = await visitor.open("/login");
    const guess = () => visitor.post("/login", { ...hiddenFields(text, "/login"), ...ALICE, password: "wrong" });
    const statuses = (await Promise.all(Array.from({ length: 25 }, guess))).map(({ status }) => status);
    expect(statuses.filter((status) => status === 401)).toHaveLength(10);
    const page = await guess();
    expect(page.status).toBe(429);
    expect(Number(page.headers.get("retry-after"))).toBeGreaterThan(500);
    expect(page.text).toContain("Too many attempts");
    expect(web.calls).toHaveLength(10);
  });

  test("comes with the address of the socket, whatever headers say", async () => {
    await logIn(ALICE, { headers: { "x-forwarded-for": "192.0.2.7", "user-agent": "x".repeat(1000) } });
    expect(web.calls).toMatchObject([
      { name: "logIn", argument: { address: "127.0.0.1", userAgent: "x".repeat(256) } },
    ]);
  });
});

describe("a form", () => {
  test("without its token, with that of another browser, or of another site, is refused and recorded", async () => {
    const other = createPageVisitor(web.url);
    const foreign = hiddenFields((await other.open("/login")).text, "/login");
    await visitor.open("/login");
    expect((await visitor.post("/login", ALICE)).status).toBe(403);
    expect((await visitor.post("/login", { ...foreign, ...ALICE })).text).toContain("too old");
    for (const origin of ["https://evil.example", "null", web.url.replace("127.0.0.1", "localhost")]) {
      expect((await logIn(ALICE, { headers: { origin } })).text).toContain("not sent by a page of this gateway");
    }
    const fields = hiddenFields((await visitor.open("/login")).text, "/login");
    const body = new URLSearchParams({ ...fields, ...ALICE }).toString();
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    expect((await visitor.open("/login", { method: "POST", body, headers })).status).toBe(403);
    expect(web.calls).toEqual([]);
    expect(web.denials.map(({ reason }) => reason)).toEqual([
      ...Array<string>(2).fill("FORM_EXPIRED"),
      ...Array<string>(4).fill("ORIGIN_REFUSED"),
    ]);
    expect(web.denials[0]).toMatchObject({ action: "POST /login", actor: { address: "127.0.0.1" } });
  });

  test.each(["text/plain", "application/json", "multipart/form-data; boundary=x"])("as %s is refused", async (type) => {
    const fields = hiddenFields((await visitor.open("/login")).text, "/login");
    const body = type.includes("json")
      ? JSON.stringify({ ...fields, ...ALICE })
      : new URLSearchParams(fields).toString();
    expect((await visitor.post("/login", {}, { body, headers: { "content-type": type } })).status).toBe(415);
    expect(web.calls).toEqual([]);
  });

  test("with a field twice, or larger than a form is, is refused", async () => {
    const fields = hiddenFields((await visitor.open("/login")).text, "/login");
    const twice = new URLSearchParams({ ...fields, ...ALICE });
    twice.append("member_id", "alice");
    expect((await visitor.post("/login", {}, { body: twice.toString() })).status).toBe(400);
    expect((await logIn({ ...ALICE, password: "x".repeat(9_000) })).status).toBe(413);
    expect(web.calls).toEqual([]);
  });
});

describe("a session", () => {
  test("is a new one at each login, whatever cookie was there before, and the form's cookie ends", async () => {
    const planted = "p".repeat(43);
    visitor.cookies.set("openhermit_session", planted);
    await logIn();
    const first = visitor.cookies.get("openhermit_session") ?? "";
    expect(first).not.toBe(planted);
    expect(web.sessions.has(planted)).toBe(false);
    expect([...visitor.cookies.keys()]).toEqual(["openhermit_session"]);
    await logIn();
    expect(visitor.cookies.get("openhermit_session")).not.toBe(first);
  });

  test("ends with a form of its own, and only with that", async () => {
    await logIn();
    const secret = visitor.cookies.get("openhermit_session") ?? "";
    expect((await visitor.open("/logout")).status).toBe(401);
    expect((await visitor.post("/logout", {})).status).toBe(403);
    const foreign = { headers: { origin: "https://evil.example" } };
    expect((await visitor.submit("/", "/logout", {}, foreign)).status).toBe(403);
    expect(web.sessions.has(secret)).toBe(true);
    const end = await visitor.submit("/", "/logout", {});
    expect([end.status, end.location]).toEqual([303, "/login?notice=logged-out"]);
    expect(web.sessions.has(secret)).toBe(false);
    expect(visitor.cookies.has("openhermit_session")).toBe(false);
    expect((await visitor.open(end.location ?? "")).text).toContain("You are logged out");
    expect((await visitor.open("/", { headers: { cookie: `openhermit_session=${secret}` } })).status).toBe(401);
  });

  test("is kept in a cookie that scripts, other sites and plain text do not get", async () => {
    const login = await logIn();
    const [session] = login.headers.getSetCookie();
    expect(session).toMatch(/^openhermit_session=[\w-]{43}; Path=\/; Max-Age=604[78]\d\d; HttpOnly; SameSite=Lax$/);
    const tls = selfSignedCertificate();
    const secure = await startWeb({ tls });
    try {
      secure.codes.set("a-code", "login-link");
      const cookies = await new Promise<string[]>((resolve, reject) => {
        httpsRequest(secure.url + loginPath("a-code"), { ca: tls.cert }, (response) => {
          response.resume();
          resolve(response.headers["set-cookie"] ?? []);
        })
          .on("error", reject)
          .end();
      });
      expect(cookies[0]).toMatch(/^__Host-openhermit_session=[\w-]{43}; Path=\/; .*HttpOnly; SameSite=Lax; Secure$/);
    } finally {
      await secure.close();
    }
  });
});

describe("a login link", () => {
  test("opens one session, once, and a look at it does not use it up", async () => {
    web.codes.set("a-code", "login-link");
    expect((await visitor.open(loginPath("a-code"), { method: "HEAD" })).status).toBe(401);
    expect((await visitor.open(loginPath("a-code"), { headers: { "sec-purpose": "prefetch;prerender" } })).status).toBe(
      503,
    );
    const login = await visitor.open(loginPath("a-code"));
    expect([login.status, login.location]).toEqual([303, "/"]);
    expect((await visitor.open("/")).text).toContain("the local operator");
    const again = await createPageVisitor(web.url).open(loginPath("a-code"));
    expect([again.status, again.headers.getSetCookie().some((one) => one.includes("session"))]).toEqual([403, false]);
    expect(again.text).toContain("used already");
  });

  test("opens also where passwords and codes were guessed too often, and wrong ones are limited", async () => {
    web.codes.set("a-code", "login-link");
    for (let round = 0; round < 10; round += 1) {
      await logIn({ ...ALICE, password: "wrong" });
      await visitor.open(loginPath(`guess${round}`));
    }
    expect((await logIn()).status).toBe(429);
    expect((await visitor.open(loginPath("guess"))).status).toBe(429);
    expect((await visitor.open(loginPath("a-code"))).status).toBe(303);
  });
});

describe("without a session", () => {
  test.each(["", "openhermit_session=made-up", "openhermit_session=a; openhermit_session=b"])(
    "a browser with the cookie %j sees the login and nothing else",
    async (cookie) => {
      const page = await visitor.open("/", { headers: { cookie } });
      expect(page.status).toBe(401);
      expect(page.text).toContain("bin/hermit open");
      expect(page.text).not.toContain("offline/echo");
    },
  );

  test("and without an owner, the page says how to become one", async () => {
    expect((await visitor.open("/login")).text).not.toContain("Nobody owns");
    await web.close();
    web = await startWeb();
    web.hasOwner = false;
    expect((await createPageVisitor(web.url).open("/login")).text).toContain("Nobody owns this fleet yet");
  });

  test("and without a database, the page says so and comes back by itself", async () => {
    web.databaseAway = true;
    const page = await visitor.open("/");
    expect([page.status, page.headers.get("retry-after")]).toEqual([503, "5"]);
    expect(page.text).toContain("The database is away");
    expect(page.text).toContain('http-equiv="refresh"');
    web.databaseAway = false;
    const { text } = await visitor.open("/login");
    web.databaseAway = true;
    const sent = await visitor.post("/login", { ...hiddenFields(text, "/login"), ...ALICE });
    expect(sent.status).toBe(503);
    expect(sent.text).not.toContain('http-equiv="refresh"');
  });
});
