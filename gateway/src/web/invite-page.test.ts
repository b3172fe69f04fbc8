import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { createPageVisitor, hiddenFields, type PageVisitor } from "./test/page-visitor.ts";
import { PASSWORD, startWeb, type TestWeb } from "./test/web-fixture.ts";

let web: TestWeb;
let visitor: PageVisitor;

beforeEach(async () => {
  web = await startWeb();
  web.codes.set("a-code", "invite");
  web.displayName = '<img src=x onerror="alert(1)">\u202eBob';
  visitor = createPageVisitor(web.url);
});
afterEach(() => web.close());

describe("an invite", () => {
  test("shows whom it is for, as text, and lets that person in once", async () => {
    const page = await visitor.open("/invite?code=a-code");
    expect(page.text).toMatch(/<input\s+id="member_id"[^>]*value="bob"[^>]*readonly/);
    expect(page.text).toContain("viewer");
    expect(page.text).not.toContain("<img");
    const join = await visitor.submit("/invite?code=a-code", "/invite", { display_name: "Bob", password: PASSWORD });
    expect([join.status, join.location]).toEqual([303, "/"]);
    const front = await visitor.open("/");
    expect(front.status).toBe(200);
    expect(front.text).not.toContain("<img");
    const again = await createPageVisitor(web.url).open("/invite?code=a-code");
    expect([again.status, again.headers.getSetCookie()]).toEqual([403, []]);
    expect(again.text).toContain("Ask whoever invited you for a new one");
  });

  test("with a weak password stays open", async () => {
    const page = await visitor.submit("/invite?code=a-code", "/invite", { display_name: "Bob", password: "short" });
    expect(page.status).toBe(400);
    expect(page.text).toMatch(/id="password-error"/);
    expect(web.codes.has("a-code")).toBe(true);
  });

  test("is not guessed, neither by looking nor by sending, and works where others tried", async () => {
    for (let round = 0; round < 10; round += 1) {
      expect((await visitor.open(`/invite?code=guess${round}`)).status).toBe(403);
    }
    expect((await visitor.open("/invite?code=guess")).status).toBe(429);
    const { text } = await visitor.open("/invite?code=a-code");
    const sent = { ...hiddenFields(text, "/invite"), display_name: "Bob", password: PASSWORD };
    expect((await visitor.post("/invite", { ...sent, code: "guess" })).status).toBe(429);
    expect((await visitor.post("/invite", sent)).status).toBe(303);
  });

  test("without the token of its form is not accepted", async () => {
    expect((await visitor.post("/invite", { code: "a-code", password: PASSWORD })).status).toBe(403);
    expect(web.codes.has("a-code")).toBe(true);
  });
});
