import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";

import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  compressionGzip,
} from "@connectrpc/connect-node";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { SkillService } from "@openhermit/protocol/catalog/v1/skill_service";
import { afterAll, beforeAll, expect, test } from "vitest";

import { serveCalls, type CallServer } from "../test/serve-calls.ts";

const MEBIBYTE = 1024 * 1024;
/** As the catalogue serves skills: a bundle of 10 MiB, in JSON a third larger. */
const LIMITS = { readMaxBytes: 14 * MEBIBYTE, writeMaxBytes: 14 * MEBIBYTE };
/** Does not shrink when it is packed. */
const CONTENT = Buffer.concat(
  Array.from({ length: (10 * MEBIBYTE) / 32 }, (_, i) => createHash("sha256").update(`${i}`).digest()),
);
const bundle = { files: [{ path: "SKILL.md", content: CONTENT }] };

let server: CallServer;
beforeAll(async () => {
  server = await serveCalls((router) => {
    router.service(
      SkillService,
      {
        putBundle: ({ bundle: put }) => ({
          digest: createHash("sha256")
            .update(put?.files[0]?.content ?? "")
            .digest("hex"),
        }),
        getBundle: () => ({ bundle }),
      },
      LIMITS,
    );
    router.service(FleetService, { getAgent: () => ({}) });
  });
});
afterAll(() => server.close());

const options = () => ({
  baseUrl: server.url,
  readMaxBytes: 16 * MEBIBYTE,
  writeMaxBytes: 16 * MEBIBYTE,
  interceptors: [
    (next) => (request) => {
      request.header.set("authorization", "Bearer operator");
      return next(request);
    },
  ] satisfies NonNullable<Parameters<typeof createGrpcTransport>[0]["interceptors"]>,
});
const gzip = { sendCompression: compressionGzip, acceptCompression: [compressionGzip], compressMinBytes: 0 };

test.each<[string, () => Transport]>([
  ["Connect over HTTP/2", () => createConnectTransport({ ...options(), httpVersion: "2" })],
  ["Connect over HTTP/1.1", () => createConnectTransport({ ...options(), httpVersion: "1.1" })],
  ["JSON over HTTP/1.1", () => createConnectTransport({ ...options(), httpVersion: "1.1", useBinaryFormat: false })],
  [
    "packed JSON over HTTP/1.1",
    () => createConnectTransport({ ...options(), ...gzip, httpVersion: "1.1", useBinaryFormat: false }),
  ],
  ["packed Connect over HTTP/2", () => createConnectTransport({ ...options(), ...gzip, httpVersion: "2" })],
  ["gRPC", () => createGrpcTransport(options())],
  ["gRPC-Web over HTTP/1.1", () => createGrpcWebTransport({ ...options(), httpVersion: "1.1" })],
])("a service that says so takes and gives 10 MiB: %s", { timeout: 60_000 }, async (_, transport) => {
  const client = createClient(SkillService, transport());
  const { digest } = await client.putBundle({ bundle });
  expect(digest).toBe(createHash("sha256").update(CONTENT).digest("hex"));
  const { bundle: got } = await client.getBundle({ skillId: "notes" });
  expect(Buffer.compare(got?.files[0]?.content ?? Buffer.of(), CONTENT)).toBe(0);
});

test("it takes no more than it says, and the others keep their 4 MiB", { timeout: 60_000 }, async () => {
  const json = createConnectTransport({ ...options(), httpVersion: "1.1", useBinaryFormat: false });
  const codeOf = (call: Promise<unknown>) =>
    call.then(
      () => "ok",
      (error: unknown) => Code[ConnectError.from(error).code],
    );
  const larger = { files: [...bundle.files, { path: "more", content: Buffer.alloc(MEBIBYTE) }] };
  expect(await codeOf(createClient(SkillService, json).putBundle({ bundle: larger }))).toBe("ResourceExhausted");
  const agentId = "x".repeat(5 * MEBIBYTE);
  for (const transport of [json, createGrpcTransport(options())]) {
    expect(await codeOf(createClient(FleetService, transport).getAgent({ agentId }))).toBe("ResourceExhausted");
  }
  const bomb = gzipSync(Buffer.alloc(256 * MEBIBYTE, " "));
  const before = process.memoryUsage().rss;
  const response = await fetch(`${server.url}/openhermit.catalog.v1.SkillService/PutBundle`, {
    method: "POST",
    body: bomb,
    headers: { "content-type": "application/json", "content-encoding": "gzip", authorization: "Bearer operator" },
  });
  expect(await response.json()).toMatchObject({ code: "resource_exhausted" });
  expect(process.memoryUsage().rss - before).toBeLessThan(128 * MEBIBYTE);
});
