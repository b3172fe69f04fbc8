import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { browserMissing, startBrowser } from "../fixture/browser.ts";
import { startFleet, type RunningFleet } from "../fixture/running-fleet.ts";

const missing = browserMissing();
if (missing !== undefined) console.warn(`tests/e2e/status-page ${missing}`);

const MANIFEST = "agents:\n  one: { model: offline/echo }\n  two: { model: offline/echo, launcher: external }\n";

describe.skipIf(missing !== undefined)("the status page in a browser", () => {
  let fleet: RunningFleet;
  let browser: Browser;
  beforeAll(async () => {
    [fleet, browser] = await Promise.all([startFleet({ manifest: MANIFEST }), startBrowser()]);
  }, 120_000);
  afterAll(async () => {
    await browser.close();
    await fleet.dispose();
  });

  test("the login link opens it once, it shows each agent with its state, and fits a telephone", async () => {
    const link = /http\S+\/login\?code=\S+/.exec(fleet.screen())?.[0] ?? "";
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    const complaints: string[] = [];
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    await page.goto(link);
    expect(new URL(page.url()).pathname).toBe("/");
    expect(await page.locator("tbody tr").count()).toBe(2);
    expect(await page.locator("tbody tr", { hasText: "one" }).first().innerText()).toContain("online");
    expect(await page.locator("tbody tr", { hasText: "two" }).first().innerText()).toContain("starting");
    await page.setViewportSize({ width: 390, height: 844 });
    const width = await page.evaluate("document.documentElement.scrollWidth");
    expect(width).toBeLessThanOrEqual(390);
    expect(complaints).toEqual([]);

    const stranger = await browser.newContext();
    const second = await stranger.newPage();
    await second.goto(link);
    expect(await second.locator("tbody tr").count()).toBe(0);
    await second.goto(fleet.url);
    expect(await second.locator("body").innerText()).toContain("bin/hermit open");
    expect(await second.locator("body").innerText()).not.toContain("offline/echo");
  });
});
