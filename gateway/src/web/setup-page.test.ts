import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { createPageVisitor, hiddenFields, type PageVisitor } from "./test/page-visitor.ts";
import { PASSWORD, startWeb, type TestWeb } from "./test/web-fixture.ts";
import { setupPath } from "./web.ts";

let web: TestWeb;
let visitor: PageVisitor;

beforeEach(async () => {
  web = await startWeb();
  web.hasOwner = false;
  web.codes.set("a-code", "setup");
  visitor = createPageVisitor(web.url);
});
afterEach(() => web.close());

const OWNER = { member_id: "olga", display_name: "Olga", password: PASSWORD };

describe("setup", () => {
  test("makes one owner, who is logged in then; nobody else", async () => {
    const setup = await visitor.submit(setupPath("a-code"), "/setup", OWNER);
    expect([setup.status, setup.location]).toEqual([303, "/"]);
    expect((await visitor.open("/")).status).toBe(200);
    expect(visitor.cookies.has("openhermit_form")).toBe(false);
    web.codes.set("another", "setup");
    const late = await createPageVisitor(web.url).open(setupPath("another"));
    expect(late.status).toBe(409);
    expect(late.text).toContain("This fleet has an owner already");
    expect(late.text).not.toContain("<form");
  });

  test("that fifty browsers send at once makes one owner", async () => {
    const browsers = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const browser = createPageVisitor(web.url);
        const { text } = await browser.open(setupPath("a-code"));
        return () => browser.post("/setup", { ...hiddenFields(text, "/setup"), ...OWNER, member_id: `olga${index}` });
      }),
    );
    const statuses = (await Promise.all(browsers.map((send) => send()))).map(({ status }) => status);
    expect(statuses.filter((status) => status === 303)).toHaveLength(1);
    expect(new Set(statuses)).toEqual(new Set([303, 409]));
  });

  test("with a wrong code asks for another, keeps what was written, and counts as an attempt, but hinders no right one", async () => {
    const wrong = () => visitor.submit(setupPath("wrong"), "/setup", OWNER);
    const page = await wrong();
    expect(page.status).toBe(403);
    expect(page.text).toContain("This setup code is not right");
    expect(page.text).toMatch(/<input\s+id="code"/);
    expect(page.text).toContain('value="olga"');
    expect(page.text).not.toContain(PASSWORD);
    for (let round = 0; round < 9; round += 1) await wrong();
    expect((await wrong()).status).toBe(429);
    expect(web.codes.get("a-code")).toBe("setup");
    expect((await visitor.submit(setupPath("a-code"), "/setup", OWNER)).status).toBe(303);
  });

  test("with a weak password says so beside it, and keeps the code", async () => {
    const page = await visitor.submit(setupPath("a-code"), "/setup", { ...OWNER, password: "short" });
    expect(page.status).toBe(400);
    expect(page.text).toMatch(/id="password-error"[^>]*>.*The password is shorter than 12 characters/);
    expect(hiddenFields(page.text, "/setup")).toMatchObject({ code: "a-code" });
    expect(web.codes.get("a-code")).toBe("setup");
  });

  test("without the token of its form changes nothing", async () => {
    expect((await visitor.post("/setup", { ...OWNER, code: "a-code" })).status).toBe(403);
    expect(web.calls).toEqual([]);
  });
});
