import { connect } from "node:net";

import { createClient } from "@connectrpc/connect";
import { LoginService } from "@openhermit/protocol/access/v1/login_service";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { createFormBrowser } from "../../fixture/form-browser.ts";
import { logIn, PASSWORD } from "../../fixture/people.ts";
import { post } from "../../fixture/raw-call.ts";
import { gatherCast, type Cast } from "../cast.ts";
import { outcomeOf } from "../failure.ts";

const LIST = "/openhermit.fleet.v1.FleetService/ListAgents";

let cast: Cast;
let cookie: string;
beforeAll(async () => {
  cast = await gatherCast();
  cookie = cast.people.get("operator")?.browser.cookies() ?? "";
}, 60_000);
afterAll(() => cast?.dispose());

const call = async (headers: Record<string, string>, body: string | Uint8Array = "{}", path = LIST) =>
  (await post(cast.gateway.url + path, headers, body)).status;

test("session fixation: a session id that was there before the login is never the session after it", async () => {
  const { url } = cast.gateway;
  const planted = `openhermit_session=${"A".repeat(43)}`;
  const browser = createFormBrowser(url);
  const form = await fetch(`${url}/login`, { headers: { cookie: planted } });
  expect(await form.text()).not.toContain("A".repeat(43));
  await browser.submit("/login", { member_id: "viewer", password: PASSWORD }, "/login");
  const first = /openhermit_session=([^;]+)/.exec(browser.cookies())?.[1];
  const second = /openhermit_session=([^;]+)/.exec((await logIn(url, "viewer")).cookies())?.[1];
  expect(first).toMatch(/^[\w-]{43}$/);
  expect(new Set([first, second, "A".repeat(43)]).size).toBe(3);
  expect(await call({ cookie: planted, origin: url, "content-type": "application/json" })).toBe(401);
  // Logging in anew ends the session that was there.
  await browser.submit("/login", { member_id: "viewer", password: PASSWORD }, "/login").catch(() => undefined);
});

describe("origin and content type: a session's cookie", () => {
  test("opens a call of our own pages", async () => {
    const { url } = cast.gateway;
    expect(await call({ cookie, origin: url, "content-type": "application/json" })).toBe(200);
    expect(await call({ cookie, "sec-fetch-site": "same-origin", "content-type": "application/json" })).toBe(200);
  });

  test.each([
    ["no origin", {}],
    ["a foreign origin", { origin: "https://evil.example" }],
    ["the origin null", { origin: "null" }],
    ["an origin that begins like ours", { origin: "SELF.evil.example" }],
    ["our host on another port", { origin: "http://127.0.0.1:1" }],
    ["a foreign origin that says same-origin", { origin: "https://evil.example", "sec-fetch-site": "same-origin" }],
    ["a cross-site fetch", { "sec-fetch-site": "cross-site" }],
    ["a same-site fetch", { "sec-fetch-site": "same-site" }],
  ])("opens nothing with %s", async (_, headers) => {
    const own = Object.fromEntries(
      Object.entries(headers as Record<string, string>).map(([name, value]) => [
        name,
        value.replace("SELF", cast.gateway.url),
      ]),
    );
    expect(await call({ cookie, "content-type": "application/json", ...own })).toBe(403);
    const get = `${LIST}?connect=v1&encoding=json&message=%7B%7D`;
    expect((await post(cast.gateway.url + get, { cookie, ...own }, "", "GET")).status).toBe(403);
    const stream = { cookie, "content-type": "application/connect+json", ...own };
    const tail = "/openhermit.activity.v1.ActivityService/TailEvents";
    const ended = await post(cast.gateway.url + tail, stream, Buffer.from("\0\0\0\0\x02{}"));
    // A stream says its error in its last frame, and that is all there is.
    expect(ended.body.subarray(5).toString()).toMatch(/^\{"error":\{"code":"permission_denied"/);
  });

  test.each(["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""])(
    "opens nothing with the content type %j, which a form of another site can send",
    async (type) => {
      const headers = { cookie, origin: cast.gateway.url, ...(type === "" ? {} : { "content-type": type }) };
      expect(await call(headers)).toBe(415);
    },
  );

  test("opens no form of ours from another site, nor without its hidden token", async () => {
    const { url } = cast.gateway;
    const browser = await logIn(url, "operator");
    const form = (origin: string, body: string) =>
      post(
        `${url}/logout`,
        { cookie: browser.cookies(), origin, "content-type": "application/x-www-form-urlencoded" },
        body,
      );
    expect((await form("https://evil.example", "")).status).toBe(403);
    expect((await form(url, "")).status).toBe(403);
    const own = { cookie: browser.cookies(), origin: url, "content-type": "application/json" };
    expect(await call(own)).toBe(200);
    await browser.submit("/", {}, "/logout");
    expect(await call(own)).toBe(401);
  });
});

describe("headers", () => {
  test("of 64 KB are refused, and the gateway goes on", async () => {
    const { url } = cast.gateway;
    const big = "x".repeat(64 * 1024);
    for (const headers of [{ authorization: `Bearer ${big}` }, { "x-request-id": big }, { cookie: `a=${big}` }]) {
      const status = await post(url + LIST, { "content-type": "application/json", ...headers }, "{}").then(
        (answer) => answer.status,
        () => "closed",
      );
      expect([431, 400, 401, "closed"]).toContain(status);
    }
    expect(await outcomeOf(createClient(LoginService, cast.as(cast.operatorToken)).getIdentity({}))).toBe("ok");
  });

  test("with CR, LF or a second Authorization smuggle nothing", async () => {
    const { port } = new URL(cast.gateway.url);
    const raw = (lines: string[]) =>
      new Promise<string>((resolve, reject) => {
        const socket = connect(Number(port), "127.0.0.1");
        let text = "";
        socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
        socket.on("error", reject);
        socket.on("close", () => resolve(text));
        socket.write(`${lines.join("\r\n")}\r\n\r\n{}`, "latin1");
      });
    const request = (...extra: string[]) => [
      `POST ${LIST} HTTP/1.1`,
      "Host: 127.0.0.1",
      "Content-Type: application/json",
      "Content-Length: 2",
      "Connection: close",
      ...extra,
    ];
    const viewer = cast.people.get("viewer")?.token ?? "";
    const operator = cast.operatorToken;
    expect(await raw(request(`Authorization: Bearer ${operator}`))).toMatch(/^HTTP\/1\.1 200/);
    for (const extra of [
      [`X-A: b\rAuthorization: Bearer ${operator}`],
      [`X-A: b\nAuthorization : Bearer ${operator}`],
      [`X-A: b\u0000\nAuthorization: Bearer ${operator}`],
      [`Authorization: Bearer ohm_nothing\r\n Bearer ${operator}`],
      [`Authorization: Bearer ohm_nothing`, `Authorization: Bearer ${operator}`],
    ]) {
      expect([extra[0], await raw(request(...extra))]).toEqual([
        extra[0],
        expect.stringMatching(/^(HTTP\/1\.1 4\d\d|$)/),
      ]);
    }
    // Of two, the first one counts, never the stronger one.
    const two = await raw(request(`Authorization: Bearer ${viewer}`, `Authorization: Bearer ${operator}`));
    expect(two).not.toMatch(/"id":"one"/);
  });
});
