import { readFileSync } from "node:fs";
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { connect as connectSocket, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { Code, ConnectError } from "@connectrpc/connect";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { startScriptedModel, waitFor, type ScriptedModel } from "@openhermit/testing";
import { readTestConfig } from "../fixture/config.ts";
import { openFiles, residentBytes } from "../fixture/process-load.ts";
import { processesNaming } from "../fixture/processes-left.ts";
import { envelope } from "../fixture/raw-call.ts";
import { startFleet, type RunningFleet } from "../fixture/running-fleet.ts";
import { scriptedManifest } from "../fixture/scripted-manifest.ts";
import { send } from "../fixture/send.ts";

const { slack } = readTestConfig();

const MIB = 1024 * 1024;

let model: ScriptedModel;
let fleet: RunningFleet;
let bearer: { authorization: string };
let pid: number;
beforeAll(async () => {
  model = await startScriptedModel({ log: false });
  fleet = await startFleet({ manifest: scriptedManifest(model.baseUrl, ["one", "two"]) });
  bearer = { authorization: `Bearer ${readFileSync(join(fleet.home, "operator-token"), "utf8").trim()}` };
  pid = fleet.gatewayPid();
  // What the gateway needs for itself, once: memory that it takes later is then somebody's buffer.
  model.always({ text: "x".repeat(MIB / 2), deltas: 64 });
  for (let i = 0; i < 20; i++) await send(fleet.clients.sessions, "one", "y".repeat(MIB / 2));
}, 120_000);
afterAll(async () => {
  await fleet.dispose();
  await model.close();
  expect(processesNaming(fleet.home)).toEqual([]);
});

const sessions: ClientHttp2Session[] = [];
const sockets: Socket[] = [];
let filesBefore: number;
beforeEach(() => {
  model.always({ text: "fine", deltas: 2 });
  filesBefore = openFiles(pid);
});
afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy();
  for (const socket of sockets.splice(0)) socket.destroy();
  expect(fleet.gatewayPid()).toBe(pid);
  await waitFor(() => openFiles(pid) <= filesBefore + 5, { deadlineMs: 15_000, what: "the gateway to close its side" });
});

/** A connection whose streams take nothing: their window is empty. */
function deafSession(): ClientHttp2Session {
  const session = connect(fleet.url, { settings: { initialWindowSize: 0 } });
  session.on("error", () => {});
  sessions.push(session);
  return session;
}

/** Opens a server stream on a deaf connection, and waits until it is served. */
function openDeaf(session: ClientHttp2Session, path: string, request: object): Promise<ClientHttp2Stream> {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/connect+json",
    ...bearer,
  });
  stream.on("error", () => {});
  stream.end(envelope(0, JSON.stringify(request)));
  return new Promise((resolve, reject) => {
    stream.once("response", () => resolve(stream));
    stream.once("close", () => reject(new Error("the stream was refused")));
  });
}

/** The slowest of five answers of /livez, ms. */
async function slowestLivez(): Promise<number> {
  let slowest = 0;
  for (let i = 0; i < 5; i++) {
    const begin = performance.now();
    const response = await fetch(`${fleet.url}/livez`, { signal: AbortSignal.timeout(5000 * slack) });
    expect(response.status).toBe(200);
    await response.arrayBuffer();
    slowest = Math.max(slowest, performance.now() - begin);
  }
  return slowest;
}

test("200 stalled tails while 32 MiB of events come: memory stays bounded, a good tail sees all", async () => {
  const before = residentBytes(pid);
  const stalled: ClientHttp2Stream[] = [];
  for (let i = 0; i < 200; i++) {
    if (i % 50 === 0) deafSession();
    const session = sessions.at(-1) as ClientHttp2Session;
    stalled.push(await openDeaf(session, "/openhermit.activity.v1.ActivityService/TailEvents", {}));
  }
  const seen: string[] = [];
  const stop = new AbortController();
  // A tail that falls behind a burst is closed with a cursor; a good one goes on from there.
  const newest = await fleet.clients.activity.queryEvents({ pageSize: 1 });
  let cursor = newest.events[0]?.cursor ?? "";
  const tail = (async () => {
    while (!stop.signal.aborted) {
      const start = { case: "afterCursor" as const, value: cursor };
      try {
        for await (const { events } of fleet.clients.activity.tailEvents({ start }, { signal: stop.signal })) {
          for (const logged of events) {
            ({ cursor } = logged);
            if (logged.event?.detail.case === "messageIn") seen.push(logged.event.turnId);
          }
        }
      } catch (error) {
        if (ConnectError.from(error).code !== Code.ResourceExhausted) return;
      }
    }
  })();
  let most = 0;
  const turns: string[] = [];
  for (let i = 0; i < 32; i++) {
    const sent = await send(fleet.clients.sessions, i % 2 === 0 ? "one" : "two", "z".repeat(MIB));
    expect(sent.turn.state).toBe(TurnState.SUCCEEDED);
    turns.push(sent.turn.id);
    most = Math.max(most, residentBytes(pid));
  }
  await waitFor(() => turns.every((turn) => seen.includes(turn)), { what: "the good tail to see all messages" });
  stop.abort();
  await tail;
  expect(new Set(seen).size).toBe(seen.length);
  // 1 MiB may wait for each tail, and what is collected late on a busy machine; without a bound it would be 6 GiB.
  expect(most - before).toBeLessThan(800 * MIB);
  expect(await slowestLivez()).toBeLessThan(2000 * slack);
}, 60_000);

test("60 readers of SendMessage that take nothing, 4 MiB each: bounded, and their turns end all the same", async () => {
  const before = residentBytes(pid);
  model.always({ text: "a".repeat(4 * MIB), deltas: 512 });
  const session = deafSession();
  const path = "/openhermit.sessions.v1.SessionService/SendMessage";
  let most = before;
  for (let i = 0; i < 60; i += 6) {
    await Promise.all(
      Array.from({ length: 6 }, (_, n) =>
        openDeaf(session, path, { agentId: n % 2 === 0 ? "one" : "two", message: `deaf ${i + n}` }),
      ),
    );
    most = Math.max(most, residentBytes(pid));
  }
  const turns = await waitFor(
    async () => {
      most = Math.max(most, residentBytes(pid));
      const page = await fleet.clients.sessions.listSessions({ pageSize: 100 });
      const deaf = page.sessions.filter(({ title }) => title.startsWith("deaf "));
      return deaf.length === 60 && deaf.every(({ transcriptHead }) => transcriptHead === 2n) ? deaf : undefined;
    },
    { deadlineMs: 45_000, what: "all 60 turns to be answered" },
  );
  expect(turns).toHaveLength(60);
  expect(most - before).toBeLessThan(400 * MIB);
  expect(await slowestLivez()).toBeLessThan(2000 * slack);
}, 90_000);

test("1,000 sockets with slow headers: /livez and messages are served, and the slow are cut after ten seconds", async () => {
  const { hostname, port } = new URL(fleet.url);
  let cut = 0;
  for (let i = 0; i < 1000; i++) {
    const socket = connectSocket(Number(port), hostname);
    socket.on("error", () => {}).on("close", () => (cut += 1));
    // One half says that it speaks HTTP/1.1 and goes on slowly, the other half has not even said that.
    if (i % 2 === 0) socket.write("GET /livez HTTP/1.1\r\nhost: x\r\nx-slow: ");
    else if (i % 4 === 1) socket.write("PRI * HT");
    sockets.push(socket);
  }
  const drip = setInterval(() => {
    for (const [i, socket] of sockets.entries()) if (i % 2 === 0 && socket.writable) socket.write("a");
  }, 1000);
  try {
    await waitFor(() => openFiles(pid) >= filesBefore + 900, { what: "the sockets to be open" });
    expect(await slowestLivez()).toBeLessThan(1000 * slack);
    expect((await send(fleet.clients.sessions, "one", "meanwhile")).turn.state).toBe(TurnState.SUCCEEDED);
    await waitFor(() => cut === 1000, { deadlineMs: 20_000, what: "all slow sockets to be cut" });
  } finally {
    clearInterval(drip);
  }
}, 60_000);

test("readers of plain HTTP that ask and never read: bounded", async () => {
  const { hostname, port } = new URL(fleet.url);
  const before = residentBytes(pid);
  const requests = `GET /health HTTP/1.1\r\nhost: x\r\n${"authorization: " + bearer.authorization}\r\n\r\n`.repeat(500);
  for (let i = 0; i < 10; i++) {
    const socket = connectSocket(Number(port), hostname);
    socket.on("error", () => {});
    socket.pause();
    sockets.push(socket);
    for (let n = 0; n < 20; n++) socket.write(requests);
  }
  let most = before;
  const end = performance.now() + 4000;
  while (performance.now() < end) {
    expect(await slowestLivez()).toBeLessThan(3000 * slack);
    most = Math.max(most, residentBytes(pid));
  }
  expect(most - before).toBeLessThan(200 * MIB);
}, 60_000);

test("a flood of resets over HTTP/2 ends its own connections, and nothing else", async () => {
  const before = residentBytes(pid);
  let ended = 0;
  for (let n = 0; n < 5; n++) {
    const session = connect(fleet.url);
    session.on("error", () => {}).once("goaway", () => (ended += 1));
    sessions.push(session);
    await new Promise((resolve) => session.once("remoteSettings", resolve));
    for (let i = 0; i < 600 && !session.closed && !session.destroyed; i++) {
      const stream = session.request({
        ":method": "POST",
        ":path": "/openhermit.sessions.v1.SessionService/SendMessage",
        "content-type": "application/grpc",
        ...bearer,
      });
      stream.on("error", () => {});
      stream.close(8);
      if (i % 20 === 0) await new Promise(setImmediate);
    }
  }
  expect(await slowestLivez()).toBeLessThan(2000 * slack);
  await waitFor(() => ended === 5, { what: "the flooding connections to be ended" });
  expect((await send(fleet.clients.sessions, "one", "meanwhile")).turn.state).toBe(TurnState.SUCCEEDED);
  expect(residentBytes(pid) - before).toBeLessThan(150 * MIB);
}, 60_000);
