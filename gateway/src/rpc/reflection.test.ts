import { create, createFileRegistry, fromBinary, type FileRegistry } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema, type FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { ServerReflection } from "@openhermit/protocol/grpc/reflection";
import { ServerReflection as ServerReflectionV1Alpha } from "@openhermit/protocol/grpc/reflection-v1alpha";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "@openhermit/protocol/grpc/health";
import { waitFor } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { serveCalls, type CallServer } from "../test/serve-calls.ts";
import { registerGrpcHealth, type HealthWord } from "./grpc-health.ts";
import { registerReflection } from "./reflection.ts";

let server: CallServer;
let word: HealthWord = "OK";
beforeEach(async () => {
  word = "OK";
  server = await serveCalls((router) => {
    router.service(FleetService, { getAgent: ({ agentId }) => ({ agent: { id: agentId } }) });
    registerGrpcHealth(router, async () => word);
    registerReflection(router);
  });
});
afterEach(() => server.close());

type Question =
  | { case: "listServices" | "fileContainingSymbol" | "fileByFilename" | "allExtensionNumbersOfType"; value: string }
  | { case: "fileContainingExtension"; value: { containingType: string; extensionNumber: number } };

async function ask(transport: Transport, version: "v1" | "v1alpha", ...questions: Question[]) {
  async function* requests() {
    for (const messageRequest of questions) {
      yield { messageRequest };
    }
  }
  const answers = [];
  const stream =
    version === "v1"
      ? createClient(ServerReflection, transport).serverReflectionInfo(requests())
      : createClient(ServerReflectionV1Alpha, transport).serverReflectionInfo(requests());
  for await (const answer of stream) {
    answers.push(answer.messageResponse);
  }
  return answers;
}

function registryOf(files: readonly Uint8Array[]): FileRegistry {
  const protos = new Map<string, FileDescriptorProto>();
  for (const proto of files.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes))) {
    protos.set(proto.name, proto);
  }
  // A descriptor set wants each file after those that it imports.
  const ordered = new Set<FileDescriptorProto>();
  const add = (name: string) => {
    const proto = protos.get(name);
    if (proto === undefined) {
      throw new Error(`${name} was not sent`);
    }
    if (!ordered.has(proto)) {
      proto.dependency.forEach(add);
      ordered.add(proto);
    }
  };
  [...protos.keys()].forEach(add);
  return createFileRegistry(create(FileDescriptorSetSchema, { file: [...ordered] }));
}

describe("reflection", () => {
  test.each(["v1", "v1alpha"] as const)(
    "%s gives a client all it needs to call without our protos",
    async (version) => {
      const symbol = "openhermit.fleet.v1.FleetService";
      const [list, file] = await ask(
        server.as("operator"),
        version,
        { case: "listServices", value: "" },
        { case: "fileContainingSymbol", value: symbol },
      );
      const services = list?.case === "listServicesResponse" ? list.value.service.map(({ name }) => name) : [];
      expect(services).toEqual([
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "openhermit.fleet.v1.FleetService",
      ]);
      const registry = registryOf(file?.case === "fileDescriptorResponse" ? file.value.fileDescriptorProto : []);
      const service = registry.getService(symbol);
      expect(service?.methods.map(({ name }) => name)).toEqual(FleetService.methods.map(({ name }) => name));
      expect(registry.getMessage("openhermit.fleet.v1.Agent")?.fields.length).toBeGreaterThan(5);
    },
  );

  test("finds nested symbols, fields, enum values, files and extensions, and says what it does not know", async () => {
    const access = { containingType: "google.protobuf.MethodOptions", extensionNumber: 50780 };
    const answers = await ask(
      server.as("operator"),
      "v1",
      { case: "fileContainingSymbol", value: "openhermit.fleet.v1.Agent.display_name" },
      { case: "fileContainingSymbol", value: "openhermit.fleet.v1.AGENT_STATE_ONLINE" },
      { case: "fileContainingSymbol", value: "openhermit.fleet.v1.FleetService.GetAgent" },
      { case: "fileByFilename", value: "openhermit/common/v1/access.proto" },
      { case: "fileContainingExtension", value: access },
      { case: "allExtensionNumbersOfType", value: access.containingType },
      { case: "fileContainingSymbol", value: "openhermit.nothing" },
      { case: "allExtensionNumbersOfType", value: "openhermit.nothing" },
    );
    expect(answers.map((answer) => answer.case)).toEqual([
      ...Array.from({ length: 5 }, () => "fileDescriptorResponse"),
      "allExtensionNumbersResponse",
      "errorResponse",
      "errorResponse",
    ]);
    expect(answers[5]).toMatchObject({ value: { extensionNumber: [50780] } });
    expect(answers[6]).toMatchObject({ value: { errorCode: Code.NotFound } });
  });

  test("is for the operator", async () => {
    for (const [name, code] of [
      [undefined, Code.Unauthenticated],
      ["sidecar", Code.PermissionDenied],
      ["guest", Code.PermissionDenied],
    ] as const) {
      const failed = ask(server.as(name), "v1", { case: "listServices", value: "" });
      await expect(failed.catch((error: unknown) => ConnectError.from(error).code)).resolves.toBe(code);
    }
  });
});

describe("grpc health", () => {
  test("tells everybody one word, and the list to who may read the health", async () => {
    const client = createClient(Health, server.as());
    expect((await client.check({})).status).toBe(ServingStatus.SERVING);
    word = "DEGRADED";
    expect((await client.check({ service: FleetService.typeName })).status).toBe(ServingStatus.SERVING);
    word = "DOWN";
    const { statuses } = await createClient(Health, server.as("operator")).list({});
    expect(statuses[FleetService.typeName]?.status).toBe(ServingStatus.NOT_SERVING);
    const codeOf = (call: Promise<unknown>) => call.catch((error: unknown) => ConnectError.from(error).code);
    expect(await codeOf(client.check({ service: "no.such.Service" }))).toBe(Code.NotFound);
    expect(await codeOf(client.list({}))).toBe(Code.Unauthenticated);
    expect(await codeOf(createClient(Health, server.as("guest")).list({}))).toBe(Code.PermissionDenied);
  });

  test("tells a watcher of each change, and stays for a service that is not known", async () => {
    const controller = new AbortController();
    const seen: Record<string, ServingStatus[]> = { "": [], "no.such.Service": [] };
    const watchers = Object.entries(seen).map(async ([service, list]) => {
      const { signal } = controller;
      for await (const { status } of createClient(Health, server.as("operator")).watch({ service }, { signal })) {
        list.push(status);
      }
    });
    const ended = Promise.allSettled(watchers);
    await waitFor(() => Object.values(seen).every((list) => list.length === 1), { what: "the first words" });
    word = "DOWN";
    await waitFor(() => seen[""]?.length === 2, { what: "the change" });
    controller.abort();
    await ended;
    expect(seen).toEqual({
      "": [ServingStatus.SERVING, ServingStatus.NOT_SERVING],
      "no.such.Service": [ServingStatus.SERVICE_UNKNOWN],
    });
  });
});
