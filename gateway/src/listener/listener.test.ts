import { Agent, request as httpRequest, type ServerResponse } from "node:http";
import { connect as http2Connect, constants, type ClientHttp2Session } from "node:http2";
import { request as httpsRequest } from "node:https";
import { connect, type Socket } from "node:net";

import { MeshError } from "@openhermit/errors";
import { testLog, waitFor } from "@openhermit/testing";
import { afterEach, describe, expect, test } from "vitest";

import { selfSignedCertificate } from "../test/self-signed-certificate.ts";
import { listen, type Listener, type ListenerOptions, type RequestHandler } from "./listener.ts";

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) {
    await one.close();
  }
});

const echoVersion: RequestHandler = (request, response) => {
  const answer = response as ServerResponse;
  answer.writeHead(200, { "content-type": "text/plain" });
  answer.end(`http/${request.httpVersion} ${request.url}`);
};

async function start(options: Partial<ListenerOptions> = {}): Promise<Listener> {
  const listener = await listen({ host: "127.0.0.1", port: 0, handler: echoVersion, log: testLog(), ...options });
  open.push({ close: () => listener.close(0) });
  return listener;
}

function getHttp1(url: string, ca?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = ca === undefined ? httpRequest(url) : httpsRequest(url, { ca });
    request.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => resolve(text));
    });
    request.on("error", reject).end();
  });
}

function getHttp2(client: ClientHttp2Session, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const stream = client.request({ ":path": path });
    stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    stream
      .on("end", () => resolve(text))
      .on("error", reject)
      .end();
  });
}

function session(url: string, ca?: string): ClientHttp2Session {
  const opened = http2Connect(url, ca === undefined ? {} : { ca });
  opened.on("error", () => {});
  open.push({ close: () => opened.destroy() });
  return opened;
}

function rawSocket(listener: Listener): { socket: Socket; received(): string; closed: Promise<void> } {
  const socket = connect(listener.port, "127.0.0.1");
  let text = "";
  socket.on("data", (chunk) => (text += chunk.toString("latin1"))).on("error", () => {});
  open.push({ close: () => socket.destroy() });
  return { socket, received: () => text, closed: new Promise((resolve) => socket.once("close", () => resolve())) };
}

describe("listener", () => {
  test("serves HTTP/1.1 and HTTP/2 on one port, told apart by the preface", async () => {
    const { url } = await start();
    const http2 = session(url);
    const answers = await Promise.all([getHttp1(`${url}/a`), getHttp2(http2, "/b"), getHttp1(`${url}/c`)]);
    expect(answers).toEqual(["http/1.1 /a", "http/2.0 /b", "http/1.1 /c"]);
  });

  test("waits for a preface or a request that comes byte by byte", async () => {
    const listener = await start();
    const http1 = rawSocket(listener);
    for (const byte of "PUT /x HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n") {
      http1.socket.write(byte);
      await new Promise(setImmediate);
    }
    await waitFor(() => http1.received().includes("http/1.1 /x"), { what: "the answer to the slow request" });
    const http2 = rawSocket(listener);
    for (const byte of "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") {
      http2.socket.write(byte, "latin1");
      await new Promise(setImmediate);
    }
    // An empty SETTINGS frame; the server answers with its own settings, frame type 4.
    http2.socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    const settings = () => http2.received().charCodeAt(3);
    await waitFor(() => settings() > 0, { what: "the first frame of the server" });
    expect(settings()).toBe(4);
  });

  test("speaks both over TLS, chosen by ALPN, and plain text not at all", async () => {
    const tls = selfSignedCertificate();
    const listener = await start({ tls });
    expect(listener.url).toMatch(/^https:/);
    expect(await getHttp1(`${listener.url}/a`, tls.cert)).toBe("http/1.1 /a");
    expect(await getHttp2(session(listener.url, tls.cert), "/b")).toBe("http/2.0 /b");
    await expect(getHttp1(`http://127.0.0.1:${listener.port}/`)).rejects.toThrow(
      /ECONNRESET|socket hang up|Parse Error/,
    );
  });

  test("refuses plain text on a host that others reach, unless it is allowed", async () => {
    await expect(start({ host: "0.0.0.0" })).rejects.toMatchObject({ reason: "LISTEN_INSECURE" });
    const allowed = await start({ host: "0.0.0.0", insecure: true });
    expect(await getHttp1(`${allowed.url}/`)).toBe("http/1.1 /");
  });

  test("says in one sentence why a port can't be had", async () => {
    const { port } = await start();
    const failures = [
      await start({ port }).catch((error: unknown) => error),
      await start({ host: "192.0.2.1", insecure: true }).catch((error: unknown) => error),
      await start({ tls: { cert: "no", key: "no" } }).catch((error: unknown) => error),
    ];
    expect(failures.every((failure) => failure instanceof MeshError && failure.hint !== "")).toBe(true);
    expect(failures).toMatchObject([
      { reason: "PORT_IN_USE", message: `port ${port} of 127.0.0.1 is in use by another program` },
      { reason: "HOST_NOT_LOCAL" },
      { reason: "TLS_CERTIFICATE_INVALID" },
    ]);
  });

  test("cuts a client that is slow with its headers, or says nothing", async () => {
    const listener = await start({ headerTimeoutMs: 200 });
    const silent = rawSocket(listener);
    const slow = rawSocket(listener);
    slow.socket.write("GET / HTTP/1.1\r\nhost: x\r\nx-slow: ");
    const idleSession = session(listener.url);
    const sessionClosed = new Promise((resolve) => idleSession.once("close", resolve));
    await Promise.all([silent.closed, slow.closed, sessionClosed]);
    expect(slow.received()).not.toContain("200 OK");
  });

  test("bounds streams a connection and a flood of resets", async () => {
    const listener = await start({ handler: () => {} });
    const flood = session(listener.url);
    await new Promise((resolve) => flood.once("remoteSettings", resolve));
    expect(flood.remoteSettings.maxConcurrentStreams).toBe(100);
    const gone = new Promise((resolve) => flood.once("goaway", resolve));
    for (let round = 0; round < 600 && !flood.closed; round += 1) {
      const stream = flood.request({ ":path": "/" });
      stream.on("error", () => {});
      stream.close(constants.NGHTTP2_CANCEL);
      if (round % 20 === 0) {
        await new Promise(setImmediate);
      }
    }
    await gone;
  });

  test("cuts a reader that takes nothing, and holds no more than a buffer for it", async () => {
    let written = 0;
    let ended = false;
    const handler: RequestHandler = (_request, response) => {
      const chunk = Buffer.alloc(64 * 1024);
      const push = () => {
        do {
          written += chunk.length;
        } while (!ended && (response as ServerResponse).write(chunk));
      };
      response.on("drain", push);
      response.once("close", () => (ended = true));
      push();
    };
    const listener = await start({ handler, stallTimeoutMs: 400 });
    const stream = session(listener.url).request({ ":path": "/" });
    stream.on("error", () => {}).pause();
    await waitFor(() => ended, { what: "the stalled response to be cut" });
    expect(written).toBeGreaterThan(0);
    expect(written).toBeLessThan(1024 * 1024);
  });

  test("lets who is refused in the middle of a large request read why, and waits for nobody who stops sending", async () => {
    const refuse: RequestHandler = (_request, response) => {
      (response as ServerResponse).writeHead(413, { connection: "close" }).end("too large");
    };
    const listener = await start({ handler: refuse });
    const body = Buffer.alloc(5 * 1024 * 1024);
    // A client that looks for an answer only when it has sent everything, as many do.
    const { port } = new URL(listener.url);
    const late = connect(Number(port), "127.0.0.1").pause();
    late.write(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n`);
    await new Promise<void>((resolve, reject) => late.write(body, (error) => (error ? reject(error) : resolve())));
    const answer = await new Promise<string>((resolve, reject) => {
      let text = "";
      late.on("data", (chunk: Buffer) => (text += chunk.toString()));
      late.on("error", reject).on("close", () => resolve(text));
      late.resume();
    });
    expect(answer).toMatch(/^HTTP\/1\.1 413/);
    const silent = rawSocket(listener);
    silent.socket.write("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nabc");
    await silent.closed;
    expect(silent.received()).toMatch(/^HTTP\/1\.1 413[\s\S]*too large\r\n0\r\n\r\n$/);
  });

  test("serves a client that was refused in the middle of a request its next one, on whatever connection", async () => {
    const listener = await start({
      // As the calls do: some of the request is read, then it is too much.
      handler: (request, response) =>
        void (async () => {
          let bytes = 0;
          for await (const chunk of request) {
            bytes += (chunk as Buffer).length;
            if (bytes > 100_000) break;
          }
          (response as ServerResponse).writeHead(bytes > 100_000 ? 413 : 200).end();
        })(),
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const post = (bytes: number) =>
      new Promise<number | undefined>((resolve, reject) => {
        const upload = httpRequest(listener.url, { method: "POST", agent }, (response) => {
          response.resume();
          response.once("end", () => resolve(response.statusCode));
        });
        upload.once("error", reject);
        for (let sent = 0; sent < bytes; sent += 50_000) upload.write(Buffer.alloc(Math.min(50_000, bytes - sent)));
        upload.end();
      });
    const answers: unknown[] = [];
    for (const bytes of [3_000_000, 10, 3_000_000, 3_000_000, 10, 10]) answers.push(await post(bytes));
    agent.destroy();
    expect(answers).toEqual([413, 200, 413, 413, 200, 200]);
  });

  test("closes at once when nobody is served, and cuts what outlives the grace", async () => {
    const idle = await start();
    await getHttp1(idle.url);
    const started = performance.now();
    await idle.close(5_000);
    expect(performance.now() - started).toBeLessThan(2_000);
    const busy = await start({ handler: () => {} });
    const cut = getHttp1(busy.url).catch((error: unknown) => error);
    await busy.close(100);
    expect(await cut).toBeInstanceOf(Error);
  });
});
