import { readFileSync } from "node:fs";
import { connect as connectSocket } from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { startScriptedModel, waitFor, type ScriptedModel } from "@openhermit/testing";
import { readTestConfig } from "../fixture/config.ts";
import { openFiles, residentBytes } from "../fixture/process-load.ts";
import { processesNaming } from "../fixture/processes-left.ts";
import { envelope, openSession, post, post2, type RawAnswer } from "../fixture/raw-call.ts";
import { startFleet, type RunningFleet } from "../fixture/running-fleet.ts";
import { scriptedManifest } from "../fixture/scripted-manifest.ts";
import { send } from "../fixture/send.ts";

const { slack } = readTestConfig();

const MIB = 1024 * 1024;
const GET_AGENT = "/openhermit.fleet.v1.FleetService/GetAgent";
const SEND = "/openhermit.sessions.v1.SessionService/SendMessage";

let model: ScriptedModel;
let fleet: RunningFleet;
let bearer: { authorization: string };
let filesBefore = 0;
beforeAll(async () => {
  model = await startScriptedModel({ always: { text: "fine", deltas: 2 } });
  fleet = await startFleet({ manifest: scriptedManifest(model.baseUrl, ["one"]) });
  bearer = { authorization: `Bearer ${readFileSync(join(fleet.home, "operator-token"), "utf8").trim()}` };
  expect((await send(fleet.clients.sessions, "one", "warm up")).turn.state).toBe(TurnState.SUCCEEDED);
  filesBefore = openFiles(fleet.gatewayPid());
}, 120_000);
afterAll(async () => {
  await fleet.dispose();
  await model.close();
  expect(processesNaming(fleet.home)).toEqual([]);
});

// Whatever was sent: the gateway is the same process, answers, and holds nothing of it.
let gatewayPid: number;
afterEach(async () => {
  gatewayPid ??= fleet.gatewayPid();
  expect(fleet.gatewayPid()).toBe(gatewayPid);
  expect((await send(fleet.clients.sessions, "one", "still there?")).turn.answer).toBe("fine");
  await waitFor(() => openFiles(gatewayPid) <= filesBefore + 5, { what: "the gateway to close what was opened" });
});

const json = (path: string, body: string | Uint8Array, headers: Record<string, string> = {}): Promise<RawAnswer> =>
  post(fleet.url + path, { "content-type": "application/json", ...bearer, ...headers }, body);

const bodyOf = (answer: RawAnswer): { code?: string; message?: string } =>
  JSON.parse(answer.body.toString()) as { code?: string; message?: string };

/** The error in the last message of a stream of Connect. */
function endError(answer: RawAnswer): { code?: string; message?: string } | undefined {
  let at = 0;
  while (at + 5 <= answer.body.length) {
    const length = answer.body.readUInt32BE(at + 1);
    if ((answer.body[at] as number) & 2) {
      return (JSON.parse(answer.body.subarray(at + 5, at + 5 + length).toString()) as { error?: object }).error;
    }
    at += 5 + length;
  }
  throw new Error(`the stream has no end: status ${answer.status}, ${answer.body.length} bytes`);
}

const grpcStatus = (answer: RawAnswer): number =>
  Number(answer.trailers["grpc-status"] ?? answer.headers["grpc-status"]);

async function failure(call: Promise<unknown>): Promise<ConnectError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => ConnectError.from(thrown),
  );
  if (error === undefined) throw new Error("the call was served");
  return error;
}

test("a message over 4 MiB is refused: unary and streaming, Connect and gRPC; one below the bound of its field is served", async () => {
  const large = "x".repeat(5 * MIB);
  expect(bodyOf(await json(GET_AGENT, JSON.stringify({ agentId: large }))).code).toBe("resource_exhausted");
  const session = openSession(fleet.url);
  const connect = await post2(
    session,
    SEND,
    { ...bearer, "content-type": "application/connect+json" },
    envelope(0, JSON.stringify({ agentId: "one", message: large })),
  );
  expect(endError(connect)?.code).toBe("resource_exhausted");
  const grpc = await post2(
    session,
    SEND,
    { ...bearer, "content-type": "application/grpc" },
    envelope(0, Buffer.alloc(5 * MIB)),
  );
  expect(grpcStatus(grpc)).toBe(Code.ResourceExhausted);
  // A length that lies: the bytes never come.
  const lying = envelope(0, Buffer.alloc(16));
  lying.writeUInt32BE(0xffff_fff0, 1);
  expect(grpcStatus(await post2(session, SEND, { ...bearer, "content-type": "application/grpc" }, lying))).toBe(
    Code.ResourceExhausted,
  );
  session.close();

  const error = await failure(send(fleet.clients.sessions, "one", "y".repeat(MIB + 1)));
  expect(error.code).toBe(Code.InvalidArgument);
  expect(error.rawMessage).toContain("message");
  const most = await send(fleet.clients.sessions, "one", "z".repeat(MIB));
  expect(most.turn.state).toBe(TurnState.SUCCEEDED);
}, 60_000);

test("uploads that are refused in the middle leave nothing open: their connection goes on serving", async () => {
  const session = openSession(fleet.url);
  const headers = { ...bearer, "content-type": "application/grpc" };
  const flood = envelope(0, Buffer.alloc(5 * MIB)).subarray(0, 256 * 1024);
  for (let round = 0; round < 4; round++) {
    const answers = await Promise.all(Array.from({ length: 30 }, () => post2(session, SEND, headers, flood)));
    expect(answers.map(grpcStatus)).toEqual(answers.map(() => Code.ResourceExhausted));
  }
  const good = { ...bearer, "content-type": "application/json" };
  const served = await Promise.all(
    Array.from({ length: 100 }, () => post2(session, GET_AGENT, good, Buffer.from('{"agentId":"one"}'))),
  );
  expect(served.map(({ status }) => status)).toEqual(served.map(() => 200));
  session.destroy();
});

test("gzip bombs are refused before they are unpacked: the gateway's memory stays flat", async () => {
  const bomb = gzipSync(Buffer.alloc(512 * MIB, " "));
  const nested = gzipSync(Buffer.alloc(64 * MIB));
  const gzip = { "content-encoding": "gzip" };
  const session = openSession(fleet.url);
  const round = async (): Promise<void> => {
    expect(bodyOf(await json(GET_AGENT, bomb, gzip)).code).toBe("resource_exhausted");
    const stream = await json(SEND, envelope(1, nested), {
      "content-type": "application/connect+proto",
      "connect-content-encoding": "gzip",
    });
    expect(endError(stream)?.code).toBe("resource_exhausted");
    const headers = { ...bearer, "content-type": "application/grpc+proto", "grpc-encoding": "gzip" };
    expect(grpcStatus(await post2(session, SEND, headers, envelope(1, nested)))).toBe(Code.ResourceExhausted);
    expect(grpcStatus(await post2(session, GET_AGENT, headers, envelope(1, nested)))).toBe(Code.ResourceExhausted);
  };
  await round();
  const pid = fleet.gatewayPid();
  const before = residentBytes(pid);
  for (let i = 0; i < 10; i++) await round();
  session.close();
  expect(residentBytes(pid) - before).toBeLessThan(64 * MIB);
  // What is not gzip at all, or stops in the middle, is the caller's mistake.
  const broken = await json(GET_AGENT, Buffer.from("not gzip"), gzip);
  expect(["invalid_argument", "internal"]).toContain(bodyOf(broken).code);
  const good = await json(GET_AGENT, gzipSync('{"agentId":"one"}'), gzip);
  expect(good.status).toBe(200);
}, 60_000);

test("unknown enum values, NUL, lone surrogates and invalid UTF-8 from a person are refused with the place", async () => {
  const cases: [string, string][] = [
    ['{"agentId":"one","message":"a\\u0000b"}', "message"],
    ['{"agentId":"one","message":"a\\ud800b"}', "message"],
    ['{"agentId":"one","message":"hi","requestId":"\\u0000"}', "request"],
    ['{"agentId":"one","message":"hi","onDisconnect":99}', "on_disconnect"],
    ['{"agentId":"one","message":"hi","onDisconnect":"NO_SUCH_WORD"}', "DisconnectPolicy"],
    ['{"agentId":"one","message":"hi","onDisconect":"DISCONNECT_POLICY_CANCEL"}', "onDisconect"],
    ['{"agentId":"one","message":"hi","chat":{"platform":"x","chatType":"y","chatId":"\\u0000"}}', "chat"],
    ['{"agentId":"one","message":5}', "message"],
    ['{"agentId":"one","message":"hi","sessionId":"not-a-uuid"}', ""],
  ];
  for (const [text, place] of cases) {
    const answer = await json(SEND, envelope(0, text), { "content-type": "application/connect+json" });
    const error = endError(answer);
    expect([text, error?.code]).toEqual([text, expect.stringMatching(/^(invalid_argument|not_found)$/)]);
    expect(error?.message?.replaceAll("_", "").toLowerCase()).toContain(place.replaceAll("_", "").toLowerCase());
  }
  // Field 2 (message) with bytes that are no UTF-8, in the binary format.
  const bytes = Buffer.concat([Buffer.from([0x0a, 3]), Buffer.from("one"), Buffer.from([0x12, 2, 0xff, 0xfe])]);
  const binary = await json(SEND, envelope(0, bytes), { "content-type": "application/connect+proto" });
  expect(endError(binary)?.code).toBe("invalid_argument");
  const session = openSession(fleet.url);
  const grpc = await post2(session, SEND, { ...bearer, "content-type": "application/grpc" }, envelope(0, bytes));
  expect(grpcStatus(grpc)).toBe(Code.InvalidArgument);
  // Not protobuf at all.
  const noise = await post2(
    session,
    GET_AGENT,
    { ...bearer, "content-type": "application/grpc" },
    envelope(0, "\xff\xff\xff"),
  );
  // Connect itself refuses it, before a line of ours runs, and calls it internal.
  expect(grpcStatus(noise)).toBe(Code.Internal);
  session.close();
  // Every read that takes a text of a person.
  const { sessions, activity, fleet: agents } = fleet.clients;
  for (const call of [
    sessions.getTurn({ turnId: "\0" }),
    sessions.listSessions({ pageToken: "\0" }),
    sessions.listSessions({ pageToken: "not a token" }),
    activity.queryEvents({ filter: { text: "\0" } }),
    activity.queryEvents({ pageToken: "AAAA" }),
    agents.listAgents({ pageToken: "%%%" }),
  ]) {
    expect((await failure(call)).code).toBe(Code.InvalidArgument);
  }
  expect((await activity.queryEvents({ filter: { text: "%_\\" } })).events).toEqual([]);
});

test("JSON that is deep, wide or no JSON is refused quickly", async () => {
  const deep = `{"agentId":${"[".repeat(500_000)}${"]".repeat(500_000)}}`;
  const deepUnknown = `{"agentId":"one","x":${'{"a":'.repeat(300_000)}1${"}".repeat(300_000)}}`;
  const prototype = '{"agentId":"one","__proto__":{"agentId":"two"},"constructor":{"prototype":{"polluted":true}}}';
  for (const text of [deep, deepUnknown, "{", "", "null", '"text"', "[]", prototype]) {
    const begin = performance.now();
    const answer = await json(GET_AGENT, text);
    expect([text.slice(0, 40), bodyOf(answer).code]).toEqual([
      text.slice(0, 40),
      expect.stringMatching(/^invalid_argument$/),
    ]);
    expect(performance.now() - begin).toBeLessThan(2000 * slack);
  }
  const wide = `{"agent":{"id":"wide","labels":{${Array.from({ length: 100_000 }, (_, i) => `"k${i}":"v"`).join(",")}}}}`;
  const begin = performance.now();
  expect(bodyOf(await json("/openhermit.fleet.v1.FleetService/CreateAgent", wide)).code).toBe("invalid_argument");
  expect(performance.now() - begin).toBeLessThan(2000 * slack);
});

/** Sends raw bytes and returns all that comes back until the end of the connection. */
function rawExchange(text: string | Buffer, waitMs = 15_000): Promise<string> {
  const { hostname, port } = new URL(fleet.url);
  return new Promise((resolve, reject) => {
    const socket = connectSocket(Number(port), hostname);
    let got = "";
    const late = setTimeout(() => socket.destroy(new Error("the connection stayed open")), waitMs);
    socket.on("data", (chunk: Buffer) => (got += chunk.toString("latin1")));
    socket.on("error", (error) => (error.message === "the connection stayed open" ? reject(error) : undefined));
    socket.on("close", () => {
      clearTimeout(late);
      resolve(got);
    });
    socket.write(text);
  });
}

test("header tricks: 64 KiB, line breaks, two lengths, smuggling, a name of nothing", async () => {
  const huge = await rawExchange(`GET /livez HTTP/1.1\r\nhost: x\r\nx-large: ${"a".repeat(64 * 1024)}\r\n\r\n`);
  expect(huge).toMatch(/^HTTP\/1\.1 431 /);
  const many = await rawExchange(
    `GET /livez HTTP/1.1\r\nhost: x\r\n${Array.from({ length: 5000 }, (_, i) => `x-${i}: y\r\n`).join("")}\r\n`,
  );
  expect(many).toMatch(/^HTTP\/1\.1 431 /);
  const lengths = "POST /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcd";
  expect(await rawExchange(lengths)).toMatch(/^HTTP\/1\.1 400 /);
  const smuggled = `POST ${GET_AGENT} HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n`;
  expect(await rawExchange(smuggled)).toMatch(/^HTTP\/1\.1 400 /);
  expect(await rawExchange("GET /livez HTTP/1.1\r\nhost: x\r\n: nothing\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
  // A bare line feed in a value may end nothing.
  const feed = "GET /livez HTTP/1.1\r\nhost: x\r\nx-a: b\nset-cookie: c=d\r\nconnection: close\r\n\r\n";
  expect(await rawExchange(feed)).not.toMatch(/set-cookie/i);
  expect(
    await rawExchange("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot frames at all, but long enough to be read as one"),
  ).not.toMatch(/200 OK/);
  // What is echoed into an answer (ids, trace context) can't break it.
  const traced = await json(GET_AGENT, '{"agentId":"one"}', { traceparent: "00-x\t-y-01", "x-request-id": "a b;c" });
  expect(traced.status).toBe(200);
  // Over HTTP/2 64 KiB of headers: refused, and the gateway's other connections do not notice.
  const session = openSession(fleet.url);
  const over = await post2(session, GET_AGENT, { ...bearer, "x-large": "a".repeat(64 * 1024) }, Buffer.alloc(0)).catch(
    (error: unknown) => error,
  );
  expect(over instanceof Error || (over as RawAnswer).status === 431).toBe(true);
  session.destroy();
});

test("wrong content types, methods, encodings and timeouts: a clear refusal each", async () => {
  const plain = await json(GET_AGENT, '{"agentId":"one"}', { "content-type": "text/plain" });
  expect(plain.status).toBe(415);
  expect((await json(GET_AGENT, "agentId=one", { "content-type": "application/x-www-form-urlencoded" })).status).toBe(
    415,
  );
  expect((await json(SEND, "{}", { "content-type": "application/json" })).status).toBe(415);
  expect((await post(fleet.url + GET_AGENT, bearer, "", "PUT")).status).toBe(405);
  expect(bodyOf(await json(GET_AGENT, "{}", { "content-encoding": "zstd" })).code).toBe("unimplemented");
  for (const timeout of ["-5", "abc", "99999999999"]) {
    const { code } = bodyOf(await json(GET_AGENT, '{"agentId":"one"}', { "connect-timeout-ms": timeout }));
    expect([timeout, code]).toEqual([timeout, "invalid_argument"]);
  }
  expect((await json("/openhermit.fleet.v1.FleetService/NoSuchMethod", "{}")).status).toBe(404);
  expect((await json("/openhermit.fleet.v1.FleetService/../../etc/passwd", "{}")).status).toBe(404);
  expect((await post(`${fleet.url}/livez`, {}, "", "GET")).status).toBe(200);
});
