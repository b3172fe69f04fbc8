import { connect as http2Connect, constants } from "node:http2";
import { connect } from "node:net";
import type { ServerResponse } from "node:http";

import { createTelemetry } from "@openhermit/telemetry";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import { testLog } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { createAttemptLimits } from "../access/attempt-limits.ts";
import { createCredentialVerifier } from "../access/credential-verifier.ts";
import { originsOf } from "../access/same-origin.ts";
import { listen, type Listener } from "../listener/listener.ts";
import { createTestAccess, testPrincipal } from "../test/test-access.ts";
import { readSessionCookie, sessionCookie } from "../web/session-cookie.ts";
import { createRpcHandler } from "./rpc.ts";

const GET_AGENT = "/openhermit.fleet.v1.FleetService/GetAgent";
const cookie = sessionCookie("the-secret", new Date(Date.now() + 60_000), false).split(";")[0] ?? "";

let listener: Listener;
let handled: number;
beforeEach(async () => {
  handled = 0;
  const late: { url: string } = { url: "http://127.0.0.1" };
  const alice = testPrincipal("alice");
  const { handle } = createRpcHandler({
    routes(router) {
      router.service(FleetService, {
        getAgent: () => {
          handled += 1;
          return {};
        },
      });
      router.service(SessionService, {
        async *watchTurn() {
          handled += 1;
          yield {};
        },
      });
    },
    verifier: createCredentialVerifier({
      operatorToken: { matches: (text) => text === "ohm_operator" },
      localOperator: testPrincipal("operator"),
      verifyToken: async (token) => (token === "ohm_alice" ? alice : undefined),
      verifySession: async (secret) => (secret === "the-secret" ? alice : undefined),
      readSession: (cookies) => readSessionCookie(cookies, false),
      verifyAccessToken: async () => undefined,
      ownOrigins: () => originsOf([late.url]),
      limits: createAttemptLimits(),
    }),
    policy: createTestAccess({ alice: { rights: ["*"] } }),
    limits: createAttemptLimits(),
    admit: () => undefined,
    telemetry: await createTelemetry({ service: "test", version: "1", env: {} }),
    log: testLog(),
    fallback: (_request, response) => void (response as ServerResponse).writeHead(404).end(),
  });
  listener = await listen({ host: "127.0.0.1", port: 0, log: testLog(), handler: handle });
  late.url = listener.url;
});
afterEach(() => listener.close(0));

/** What a page on some site may send, with the session of whoever looks at it. */
async function post(headers: Record<string, string>, body = '{"agentId":"one"}'): Promise<[number, string]> {
  const response = await fetch(listener.url + GET_AGENT, {
    method: "POST",
    body,
    headers: { "content-type": "application/json", ...headers },
  });
  const answer = (await response.json().catch(() => ({}))) as { details?: { debug?: { reason?: string } }[] };
  return [response.status, answer.details?.[0]?.debug?.reason ?? ""];
}

/** Sends bytes as they are, and reads until the other side closes. */
function raw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let got = "";
    const socket = connect(listener.port, "127.0.0.1", () => socket.write(text));
    socket.on("data", (chunk: Buffer) => (got += chunk.toString("latin1")));
    socket.on("error", () => {}).on("close", () => resolve(got));
    socket.setTimeout(5_000, () => reject(new Error(`the connection stayed open after "${got.slice(0, 200)}"`)));
  });
}
const http1 = (lines: readonly string[], body = '{"agentId":"one"}') =>
  raw(
    [
      `POST ${GET_AGENT} HTTP/1.1`,
      "host: 127.0.0.1",
      "connection: close",
      "content-type: application/json",
      `content-length: ${body.length}`,
      ...lines,
      "",
      body,
    ].join("\r\n"),
  );

describe("a session in a cookie", () => {
  test("works on the gateway's own pages, and is refused from everywhere else", async () => {
    expect(await post({ cookie, origin: listener.url })).toEqual([200, ""]);
    expect(await post({ cookie, "sec-fetch-site": "same-origin" })).toEqual([200, ""]);
    for (const headers of [
      {},
      { origin: "null" },
      { origin: "https://evil.example" },
      { origin: listener.url.replace("127.0.0.1", "127.0.0.2") },
      { origin: `${listener.url}.evil.example` },
      { "sec-fetch-site": "same-site" },
      { origin: "https://evil.example", host: "evil.example", "sec-fetch-site": "same-origin" },
    ]) {
      expect([headers, ...(await post({ cookie, ...headers }))]).toEqual([headers, 403, "ORIGIN_REFUSED"]);
    }
    expect(handled).toBe(2);
  });

  test("does not work with a type that a form on another site can send", async () => {
    const own = { cookie, origin: listener.url };
    for (const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data; boundary=x",
      "text/plain; application/json",
      "application/json-patch+json",
    ]) {
      expect([type, ...(await post({ ...own, "content-type": type }))]).toEqual([type, 415, ""]);
    }
    expect(handled).toBe(0);
  });

  test("does not work in an address that another site links to", async () => {
    const url = `${listener.url}${GET_AGENT}?encoding=json&connect=v1&message=${encodeURIComponent('{"agentId":"one"}')}`;
    const asked = (headers: Record<string, string>) => fetch(url, { headers }).then(({ status }) => status);
    expect(await asked({ cookie, "sec-fetch-site": "cross-site" })).toBe(403);
    expect(await asked({ cookie, "sec-fetch-site": "none" })).toBe(403);
    expect(await asked({ cookie })).toBe(403);
    expect(await asked({ authorization: "Bearer ohm_alice" })).toBe(200);
    expect(handled).toBe(1);
  });

  test("does not open a stream from another origin", async () => {
    const stream = (headers: Record<string, string>) =>
      fetch(`${listener.url}/openhermit.sessions.v1.SessionService/WatchTurn`, {
        method: "POST",
        headers: { "content-type": "application/connect+json", cookie, ...headers },
        body: Buffer.concat([Buffer.from([0, 0, 0, 0, 14]), Buffer.from('{"turnId":"t"}')]),
      }).then((response) => response.text());
    expect(await stream({ origin: "https://evil.example" })).toContain("permission_denied");
    expect(handled).toBe(0);
    expect(await stream({ origin: listener.url })).not.toContain("error");
    expect(handled).toBe(1);
  });

  test("counts for nothing beside a token that is not valid, and twice in one header is none", async () => {
    const own = { cookie, origin: listener.url };
    expect(await post({ ...own, authorization: "Bearer ohm_forged" })).toEqual([401, "CREDENTIAL_INVALID"]);
    expect(await post({ ...own, cookie: `${cookie}; ${cookie}` })).toEqual([401, "CREDENTIAL_MISSING"]);
  });
});

describe("headers", () => {
  test("of 64 KiB are refused clearly on HTTP/1.1", async () => {
    expect(await http1([`authorization: Bearer ohm_${"a".repeat(64 * 1024)}`])).toMatch(/^HTTP\/1\.1 431 /);
    expect(await http1([`cookie: ${cookie}; x=${"a".repeat(64 * 1024)}`])).toMatch(/^HTTP\/1\.1 431 /);
    expect(handled).toBe(0);
  });

  test("of 64 KiB are refused clearly on HTTP/2, and the connection goes on", async () => {
    // Without the option the client itself would not send them.
    const session = http2Connect(listener.url, { maxSendHeaderBlockLength: 1024 * 1024 });
    const errors: Error[] = [];
    session.on("error", (error) => errors.push(error));
    // Before a client has heard of the bound, its headers are read and judged like any others.
    await new Promise((resolve) => session.once("remoteSettings", resolve));
    const call = (headers: Record<string, string>) =>
      new Promise<unknown>((resolve) => {
        const stream = session.request({
          ":method": "POST",
          ":path": GET_AGENT,
          "content-type": "application/json",
          ...headers,
        });
        stream.on("response", ({ [constants.HTTP2_HEADER_STATUS]: status }) => resolve(status));
        stream.on("error", (error: NodeJS.ErrnoException) => resolve(error.message));
        stream.end('{"agentId":"one"}');
      });
    // HTTP/2 has a code for it, which gRPC takes for RESOURCE_EXHAUSTED.
    expect(await call({ authorization: `Bearer ohm_${"a".repeat(64 * 1024)}` })).toMatch(/ENHANCE_YOUR_CALM$/);
    expect(await call({ authorization: "Bearer ohm_alice" })).toBe(200);
    expect(errors).toEqual([]);
    session.destroy();
  });

  test("with line breaks, or given twice, put no credential past the gate", async () => {
    // A bare line feed ends no header: what follows is no header of its own.
    for (const trick of [
      "x-name: a\nauthorization: Bearer ohm_alice",
      "x-name: a\rauthorization: Bearer ohm_alice",
      "x-name: a\r\n authorization: Bearer ohm_alice",
      "authorization : Bearer ohm_alice",
      "authorization: Bearer ohm_alice\0",
      "authorization: Bearer ohm_forged\r\nauthorization: Bearer ohm_alice",
      "authorization: Bearer\r\n ohm_alice",
    ]) {
      expect([trick, await http1([trick])]).toEqual([trick, expect.stringMatching(/^HTTP\/1\.1 (400|401) /)]);
    }
    expect(handled).toBe(0);
    expect(await http1(["authorization: Bearer ohm_alice"])).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("of the caller do not come back as headers of the answer", async () => {
    const answer = await http1(["authorization: Bearer ohm_alice", "x-request-id: a%0d%0aset-cookie: x=y"]);
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer).not.toMatch(/set-cookie/i);
  });
});
