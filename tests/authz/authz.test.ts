import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { createFileRegistry, create, fromBinary, type DescMethod } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema, type FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { readConfig, startGateway, type Gateway } from "@openhermit/gateway";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { Launcher } from "@openhermit/protocol/fleet/v1/agent";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { ServerReflection } from "@openhermit/protocol/grpc/reflection";
import { EnrollmentService } from "@openhermit/protocol/mesh/v1/enrollment_service";
import { temporaryDirectory, testDatabase, testLog, type TestDatabase } from "@openhermit/testing";
import { afterAll, beforeAll, expect, test } from "vitest";

import { EXPECTATIONS, type CallerKind, type Expectation } from "./expectations.ts";

const CALL_LIMIT_MS = 10_000;

let gateway: Gateway;
let database: TestDatabase;
let home: Awaited<ReturnType<typeof temporaryDirectory>>;
let sessions: Http2SessionManager[] = [];
let callers: Record<CallerKind, Transport>;

function transport(token?: string): Transport {
  const sessionManager = new Http2SessionManager(gateway.url);
  sessions.push(sessionManager);
  return createGrpcTransport({
    baseUrl: gateway.url,
    sessionManager,
    interceptors: [
      (next) => (request) => {
        if (token !== undefined) {
          request.header.set("authorization", `Bearer ${token}`);
        }
        return next(request);
      },
    ],
  });
}

/** Joins as a sidecar does, and returns its access token. */
async function sidecarToken(sidecarId: string, agentIds: string[]): Promise<string> {
  const client = createClient(EnrollmentService, transport());
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ type: "spki", format: "der" }).subarray(-32);
  const proof = async (purpose: string, key: KeyObject) => {
    const { nonce } = await client.getNonce({});
    return {
      publicKey: raw,
      nonce,
      signature: sign(null, Buffer.from(`openhermit-mesh-v1\n${purpose}\n${nonce}`), key),
    };
  };
  const { joinToken } = await gateway.mesh.createJoinToken(sidecarId, agentIds);
  await client.join({ joinToken, proof: await proof("join", privateKey) });
  return (await client.issueToken({ proof: await proof("token", privateKey) })).accessToken;
}

beforeAll(async () => {
  [database, home] = await Promise.all([testDatabase([]), temporaryDirectory()]);
  const config = readConfig({
    OPENHERMIT_HOME: home.path,
    OPENHERMIT_LISTEN: "127.0.0.1:0",
    OPENHERMIT_DATABASE_URL: database.url,
  });
  gateway = await startGateway(config, testLog());
  await gateway.ready;
  const operator = (await readFile(join(home.path, "operator-token"), "utf8")).trim();
  const fleet = createClient(FleetService, transport(operator));
  for (const id of ["one", "two", "spare"]) {
    await fleet.createAgent({ agent: { id, spec: { model: "offline/echo", launcher: Launcher.EXTERNAL } } });
  }
  callers = {
    anonymous: transport(),
    operator: transport(operator),
    sidecarOfAgent: transport(await sidecarToken("sidecar-one", ["one"])),
    sidecarOfOtherAgent: transport(await sidecarToken("sidecar-two", ["two"])),
  };
});

afterAll(async () => {
  sessions.forEach((session) => session.abort());
  sessions = [];
  await gateway?.stop(0);
  await database?.drop();
  await home?.remove();
});

/** The services that the running gateway says it serves. */
async function servedMethods(): Promise<DescMethod[]> {
  const ask = async function* (...questions: { case: "listServices" | "fileContainingSymbol"; value: string }[]) {
    for (const messageRequest of questions) {
      yield { messageRequest };
    }
  };
  const reflection = createClient(ServerReflection, callers.operator);
  const names: string[] = [];
  for await (const { messageResponse } of reflection.serverReflectionInfo(ask({ case: "listServices", value: "" }))) {
    if (messageResponse.case === "listServicesResponse") {
      names.push(...messageResponse.value.service.map(({ name }) => name));
    }
  }
  const files = new Map<string, FileDescriptorProto>();
  const questions = names.map((value) => ({ case: "fileContainingSymbol" as const, value }));
  for await (const { messageResponse } of reflection.serverReflectionInfo(ask(...questions))) {
    if (messageResponse.case === "fileDescriptorResponse") {
      for (const bytes of messageResponse.value.fileDescriptorProto) {
        const file = fromBinary(FileDescriptorProtoSchema, bytes);
        files.set(file.name, file);
      }
    }
  }
  const ordered = new Set<FileDescriptorProto>();
  const add = (name: string) => {
    const file = files.get(name);
    if (file !== undefined && !ordered.has(file)) {
      file.dependency.forEach(add);
      ordered.add(file);
    }
  };
  [...files.keys()].forEach(add);
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [...ordered] }));
  return names.flatMap((name) => registry.getService(name)?.methods ?? []);
}

type AnyCall = (request: unknown, options: { signal: AbortSignal }) => Promise<unknown> | AsyncIterable<unknown>;

/** `ok`, or the code and the reason. A stream is well when its first message comes. */
async function resultOf(method: DescMethod, expectation: Expectation, caller: Transport): Promise<string> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), CALL_LIMIT_MS);
  try {
    if (expectation.call !== undefined) {
      await expectation.call(caller);
      return "ok";
    }
    const client = createClient(method.parent, caller) as unknown as Record<string, AnyCall>;
    const call = client[method.localName];
    const request = expectation.request ?? {};
    const upstream = async function* () {
      yield request;
    };
    const answer = call?.(method.methodKind === "bidi_streaming" ? upstream() : request, { signal: controller.signal });
    if (answer !== undefined && Symbol.asyncIterator in answer) {
      const first = await answer[Symbol.asyncIterator]().next();
      return first.done === true ? "ended without a message" : "ok";
    }
    await answer;
    return "ok";
  } catch (thrown) {
    const error = ConnectError.from(thrown);
    const code = Code[error.code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase();
    return `${code} ${error.findDetails(ErrorDetailSchema)[0]?.reason ?? error.rawMessage}`;
  } finally {
    clearTimeout(timer);
    controller.abort();
  }
}

test("every method answers every kind of caller as expected, and none is forgotten", async () => {
  const methods = await servedMethods();
  const names = methods.map((method) => `${method.parent.typeName}/${method.name}`);
  expect(names.toSorted(), "methods served and methods in tests/authz/expectations.ts").toEqual(
    Object.keys(EXPECTATIONS).toSorted(),
  );
  const differences: string[] = [];
  for (const method of methods) {
    const name = `${method.parent.typeName}/${method.name}`;
    const expectation = EXPECTATIONS[name];
    if (expectation === undefined) {
      continue;
    }
    for (const [kind, caller] of Object.entries(callers)) {
      const expected = expectation.results[kind as CallerKind];
      const result = await resultOf(method, expectation, caller);
      if (result !== expected) {
        differences.push(`${name} as ${kind}: expected "${expected}", got "${result}"`);
      }
    }
  }
  expect(differences).toEqual([]);
});

test("a credential that is forged, cut or of another kind is refused, never taken for none", async () => {
  const operator = (await readFile(join(home.path, "operator-token"), "utf8")).trim();
  const sidecar = await sidecarToken("sidecar-three", ["spare"]);
  const [header, payload, signature] = sidecar.split(".");
  const claims = JSON.parse(Buffer.from(payload ?? "", "base64url").toString()) as Record<string, unknown>;
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const forged = [
    operator.slice(0, -1),
    `${operator}x`,
    `ohm_${"A".repeat(38)}`,
    `${header}.${encode({ ...claims, agents: ["one"] })}.${signature}`,
    `${encode({ alg: "none" })}.${payload}.`,
    `${encode({ alg: "HS256" })}.${payload}.${signature}`,
    "nonsense",
  ];
  for (const token of forged) {
    const error = await createClient(FleetService, transport(token))
      .listAgents({})
      .then(() => undefined, ConnectError.from);
    expect([token.slice(0, 12), error?.code]).toEqual([token.slice(0, 12), Code.Unauthenticated]);
  }
});
