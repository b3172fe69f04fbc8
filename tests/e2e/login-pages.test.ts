import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { LoginService } from "@openhermit/protocol/access/v1/login_service";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { browserMissing, startBrowser } from "../fixture/browser.ts";
import { startFleet, type RunningFleet } from "../fixture/running-fleet.ts";

const missing = browserMissing();
if (missing !== undefined) console.warn(`tests/e2e/login-pages ${missing}`);

const PASSWORD = "correct horse battery staple";

describe.skipIf(missing !== undefined)("the pages to come in by, in a browser", () => {
  let fleet: RunningFleet;
  let browser: Browser;
  const complaints: string[] = [];
  beforeAll(async () => {
    [fleet, browser] = await Promise.all([startFleet({ manifest: "agents: {}\n" }), startBrowser()]);
  }, 120_000);
  afterAll(async () => {
    await browser.close();
    await fleet.dispose();
  });

  async function newPage(): Promise<Page> {
    const page = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
    page.on("console", (message) => {
      if (/content security policy|refused to/i.test(message.text())) complaints.push(message.text());
    });
    return page;
  }

  async function logIn(page: Page, password: string): Promise<void> {
    await page.fill("#member_id", "olga");
    await page.fill("#password", password);
    await page.click("button[type=submit]");
  }

  test("work without a script, from the setup to a command line", async () => {
    const { url } = await fleet.client(LoginService).createSetupCode({});
    const page = await newPage();
    await page.goto(url);
    await logIn(page, PASSWORD);
    expect(new URL(page.url()).pathname).toBe("/");
    expect(await page.locator("header").innerText()).toContain("olga · owner");
    await page.click("text=Log out");
    expect(await page.locator("main").innerText()).toContain("You are logged out");

    await logIn(page, "wrong password");
    expect(await page.locator("[role=alert]").innerText()).toContain("do not belong together");
    await logIn(page, PASSWORD);
    expect(await page.locator("header").innerText()).toContain("olga · owner");

    // What the command line does: it waits on a port for the code, and exchanges it.
    const arrived = Promise.withResolvers<URL>();
    const waiting = createServer((request, response) => {
      arrived.resolve(new URL(request.url ?? "", "http://127.0.0.1"));
      response.end("thanks");
    });
    await new Promise<void>((resolve) => waiting.listen(0, "127.0.0.1", resolve));
    const { port } = waiting.address() as AddressInfo;
    const verifier = randomBytes(32).toString("base64url");
    const challenge = createHash("sha256").update(verifier).digest("base64url");
    await page.goto(`${fleet.url}/cli-login?challenge=${challenge}&name=a+laptop&port=${port}&state=s1`);
    expect(await page.locator("main").innerText()).toContain("a laptop wants to act as olga");
    await page.click("text=Allow");
    const { searchParams } = await arrived.promise;
    waiting.close();
    waiting.closeAllConnections();
    expect(searchParams.get("state")).toBe("s1");
    const code = searchParams.get("code") ?? "";
    const { identity } = await fleet.client(LoginService).exchangeLoginCode({ code, verifier });
    expect(identity?.subject?.id).toBe("olga");
    expect(complaints).toEqual([]);
  });

  test("refuse a form of another site, whose browser sends the cookies along or not", async () => {
    const evil = createServer((_request, response) => {
      response.setHeader("content-type", "text/html");
      response.end(`<form method="post" action="${fleet.url}/login"><button>win</button></form>`);
    });
    await new Promise<void>((resolve) => evil.listen(0, "127.0.0.1", resolve));
    const page = await newPage();
    await page.goto(`${fleet.url}/login`);
    await page.goto(`http://127.0.0.1:${(evil.address() as AddressInfo).port}/`);
    await page.click("text=win");
    expect(await page.locator("main").innerText()).toContain("not sent by a page of this gateway");
    evil.close();
    evil.closeAllConnections();
  });
});
