import { connect as http2Connect } from "node:http2";
import { gzipSync } from "node:zlib";

import { create, createFileRegistry } from "@bufbuild/protobuf";
import type { GenService } from "@bufbuild/protobuf/codegenv2";
import { file_google_protobuf_empty, FileDescriptorProtoSchema, type EmptySchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, type ConnectRouter } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { callerName } from "@openhermit/caller";
import { failedPrecondition, notFound, unavailable } from "@openhermit/errors";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { LinkService } from "@openhermit/protocol/mesh/v1/link_service";
import { SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import { waitFor } from "@openhermit/testing";
import { afterEach, describe, expect, test } from "vitest";

import { callerOf } from "../access/caller.ts";
import { serveCalls, type CallServer } from "../test/serve-calls.ts";
import type { RpcOptions } from "./rpc.ts";

let server: CallServer | undefined;
afterEach(() => server?.close());

async function serve(
  routes: (router: ConnectRouter) => void,
  options?: Parameters<typeof serveCalls>[1],
): Promise<CallServer> {
  server = await serveCalls(routes, options);
  return server;
}

const failure = async (call: Promise<unknown>): Promise<ConnectError> => {
  try {
    await call;
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new Error("the call went well");
};

const detailOf = (error: ConnectError) => error.findDetails(ErrorDetailSchema)[0];

/** A POST of the Connect protocol with a body of our own making. */
async function post(url: string, body: string | Buffer<ArrayBuffer>, headers: Record<string, string>) {
  const response = await fetch(`${url}/openhermit.fleet.v1.FleetService/GetAgent`, { method: "POST", body, headers });
  return { status: response.status, headers: response.headers, body: (await response.json()) as { code: string } };
}
const JSON_OF_OPERATOR = { "content-type": "application/json", authorization: "Bearer operator" };

describe("calls", () => {
  test("are served in Connect, gRPC and gRPC-Web, with JSON too, and name who calls", async () => {
    const { url, as } = await serve((router) =>
      router.service(FleetService, {
        getAgent: (request, context) => {
          const caller = callerOf(context);
          return { agent: { id: request.agentId, displayName: callerName(caller) } };
        },
      }),
    );
    const headers = { authorization: "Bearer operator" };
    const transports = [
      as("operator"),
      createGrpcWebTransport({ baseUrl: url, httpVersion: "1.1" }),
      createConnectTransport({ baseUrl: url, httpVersion: "2" }),
    ];
    for (const transport of transports) {
      const { agent } = await createClient(FleetService, transport).getAgent({ agentId: "one" }, { headers });
      expect(agent).toMatchObject({ id: "one", displayName: "member:operator" });
    }
    const plain = await post(url, '{"agentId":"two"}', JSON_OF_OPERATOR);
    expect(plain).toMatchObject({ status: 200, body: { agent: { id: "two" } } });
    expect(plain.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("carry the trace of the caller to the handler", async () => {
    const seen: (string | null)[] = [];
    const { as } = await serve((router) =>
      router.service(FleetService, {
        listProviders: (_request, context) => {
          seen.push(context.requestHeader.get("traceparent"));
          return {};
        },
      }),
    );
    const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    const headers = { traceparent: `00-${trace}-00f067aa0ba902b7-01` };
    await createClient(FleetService, as("operator")).listProviders({}, { headers });
    await createClient(FleetService, as("operator")).listProviders({});
    expect(seen[0]).toMatch(new RegExp(`^00-${trace}-(?!00f067aa0ba902b7)[0-9a-f]{16}-01$`));
    expect(seen[1]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);
    expect(seen[1]).not.toContain(trace);
  });
});

describe("refusals", () => {
  test("come in order: credential, audience, right, contract, and only then the handler", async () => {
    let handled = 0;
    const { as, log } = await serve((router) =>
      router.service(FleetService, {
        getAgent: () => {
          handled += 1;
          return {};
        },
      }),
    );
    const invalid = { agentId: "" };
    const code = async (name?: string) => {
      const error = await failure(createClient(FleetService, as(name)).getAgent(invalid));
      return [Code[error.code], detailOf(error)?.reason];
    };
    expect(await code()).toEqual(["Unauthenticated", "CREDENTIAL_MISSING"]);
    expect(await code("forged")).toEqual(["Unauthenticated", "CREDENTIAL_INVALID"]);
    expect(await code("sidecar")).toEqual(["PermissionDenied", "AUDIENCE_WRONG"]);
    expect(await code("guest")).toEqual(["PermissionDenied", "RIGHT_MISSING"]);
    expect(await code("operator")).toEqual(["InvalidArgument", "REQUEST_INVALID"]);
    expect(handled).toBe(0);
    const refused = log.records().filter(({ msg }) => msg === "call refused" || msg === "call ended");
    expect(refused).toHaveLength(5);
  });

  test("close a method that has no access rule to everybody", async () => {
    const file = create(FileDescriptorProtoSchema, {
      name: "forgotten.proto",
      package: "forgotten",
      syntax: "proto3",
      dependency: ["google/protobuf/empty.proto"],
      service: [
        {
          name: "Service",
          method: [{ name: "Open", inputType: ".google.protobuf.Empty", outputType: ".google.protobuf.Empty" }],
        },
      ],
    });
    const registry = createFileRegistry(file, (name) =>
      name === "google/protobuf/empty.proto" ? file_google_protobuf_empty : undefined,
    );
    const service = registry.getService("forgotten.Service") as GenService<{
      open: { methodKind: "unary"; input: typeof EmptySchema; output: typeof EmptySchema };
    }>;
    let handled = false;
    const open = () => {
      handled = true;
      return {};
    };
    const { as } = await serve((router) => router.service(service, { open }));
    for (const name of ["operator", "sidecar"] as const) {
      const error = await failure(createClient(service, as(name)).open({}));
      expect(detailOf(error)?.reason).toBe("METHOD_CLOSED");
    }
    expect(handled).toBe(false);
  });

  test("of who may not call come before the body is read", async () => {
    const { url } = await serve((router) => router.service(FleetService, {}));
    const { status, body } = await post(url, "{ this is no JSON", { "content-type": "application/json" });
    expect([status, body.code]).toEqual([401, "unauthenticated"]);
  });

  test("reach streams: a sidecar's stream is validated message by message", async () => {
    const { as } = await serve((router) =>
      router.service(LinkService, {
        async *attach(requests) {
          for await (const { message } of requests) {
            yield { message: { case: "ping", value: { id: BigInt(message.case?.length ?? 0) } } };
          }
        },
      }),
    );
    async function* messages() {
      yield { message: { case: "pong" as const, value: { id: 1n } } };
      yield {};
    }
    const answers: unknown[] = [];
    const talk = async (name?: "sidecar" | "operator") => {
      for await (const answer of createClient(LinkService, as(name)).attach(messages())) {
        answers.push(answer.message.case);
      }
    };
    const error = await failure(talk("sidecar"));
    expect([Code[error.code], detailOf(error)?.reason]).toEqual(["InvalidArgument", "REQUEST_INVALID"]);
    expect(answers).toEqual(["ping"]);
    expect(Code[(await failure(talk("operator"))).code]).toBe("PermissionDenied");
    expect(Code[(await failure(talk())).code]).toBe("Unauthenticated");
  });
});

describe("errors", () => {
  const throwing = (thrown: () => unknown, options?: Partial<RpcOptions>) =>
    serve((router) => {
      router.service(FleetService, {
        getAgent: () => {
          throw thrown();
        },
      });
      router.service(SessionService, {
        // eslint-disable-next-line require-yield -- it fails before its first message
        async *watchTurn() {
          throw thrown();
        },
      });
    }, options);

  test("of the closed set reach the caller with reason, hint, fields and the request's id", async () => {
    const { as } = await throwing(() =>
      notFound("AGENT_NOT_FOUND", 'agent "x" does not exist', { hint: "list them", fields: { agent_id: "x" } }),
    );
    const error = await failure(createClient(FleetService, as("operator")).getAgent({ agentId: "x" }));
    expect(error.code).toBe(Code.NotFound);
    expect(error.rawMessage).toBe('agent "x" does not exist');
    const detail = detailOf(error);
    expect(detail).toMatchObject({ reason: "AGENT_NOT_FOUND", hint: "list them", fields: { agent_id: "x" } });
    expect(detail?.requestId).toBe(error.metadata.get("x-request-id"));
  });

  test("that nobody foresaw say nothing of the inside, and are in the log with the same id", async () => {
    const { as, log } = await throwing(() => new Error("SELECT secret FROM passwords failed"));
    const watch = async () => {
      for await (const _ of createClient(SessionService, as("operator")).watchTurn({ turnId: "t" })) {
        // Nothing comes.
      }
    };
    const get = () => createClient(FleetService, as("operator")).getAgent({ agentId: "x" });
    for (const call of [get, watch]) {
      const error = await failure(call());
      expect(error.code).toBe(Code.Internal);
      expect(JSON.stringify([error.rawMessage, error.details, [...error.metadata]])).not.toContain("passwords");
      const requestId = detailOf(error)?.requestId;
      const record = log.records().find((one) => one["msg"] === "call failed" && one["request_id"] === requestId);
      expect(JSON.stringify(record)).toContain("passwords");
    }
  });

  test("with a cause log it and keep it", async () => {
    const { as, log } = await throwing(() =>
      unavailable("DATABASE_UNAVAILABLE", "the database is away", { cause: new Error("connect to 10.0.0.7 refused") }),
    );
    const error = await failure(createClient(FleetService, as("operator")).getAgent({ agentId: "x" }));
    expect(error.code).toBe(Code.Unavailable);
    expect(JSON.stringify([error.rawMessage, error.details])).not.toContain("10.0.0.7");
    expect(JSON.stringify(log.records())).toContain("10.0.0.7");
  });

  test("of a service's own making get the request's id into their detail", async () => {
    const own = new ConnectError("two problems", Code.InvalidArgument, undefined, [
      { desc: ErrorDetailSchema, value: { reason: "MANIFEST_INVALID" } },
    ]);
    const { as } = await throwing(() => own);
    const error = await failure(createClient(FleetService, as("operator")).getAgent({ agentId: "x" }));
    expect(error.findDetails(ErrorDetailSchema)).toHaveLength(1);
    expect(detailOf(error)).toMatchObject({ reason: "MANIFEST_INVALID" });
    expect(detailOf(error)?.requestId).not.toBe("");
  });
});

describe("bounds", () => {
  test("a call without a deadline gets one, a longer one than an hour is refused, and a shorter one is kept", async () => {
    const signals: AbortSignal[] = [];
    const { as } = await serve(
      (router) =>
        router.service(FleetService, {
          listProviders: (_request, context) => {
            signals.push(context.signal);
            return new Promise<never>(() => {});
          },
        }),
      { defaultDeadlineMs: 100 },
    );
    const client = createClient(FleetService, as("operator"));
    const error = await failure(client.listProviders({}));
    expect([Code[error.code], detailOf(error)?.reason]).toEqual(["DeadlineExceeded", "DEADLINE_EXCEEDED"]);
    expect(Code[(await failure(client.listProviders({}, { timeoutMs: 20 }))).code]).toBe("DeadlineExceeded");
    await waitFor(() => signals.length === 2 && signals.every((signal) => signal.aborted), {
      what: "both handlers to be told",
    });
    const long = await failure(client.listProviders({}, { timeoutMs: 3_600_001 }));
    expect(long.code).toBe(Code.InvalidArgument);
  });

  test("a message over 4 MiB is refused, also one that only grows so large when unpacked", async () => {
    const { url } = await serve((router) => router.service(FleetService, { getAgent: () => ({}) }));
    const large = JSON.stringify({ agentId: "x".repeat(4 * 1024 * 1024) });
    expect(await post(url, large, JSON_OF_OPERATOR)).toMatchObject({ body: { code: "resource_exhausted" } });
    const bomb = gzipSync(Buffer.alloc(512 * 1024 * 1024, " "));
    const before = process.memoryUsage().rss;
    const packed = await post(url, bomb, { ...JSON_OF_OPERATOR, "content-encoding": "gzip" });
    expect(packed).toMatchObject({ body: { code: "resource_exhausted" } });
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
  });

  test("unknown enum values, text that is no text and broken bytes are refused with the place", async () => {
    const { url, as } = await serve((router) => {
      router.service(FleetService, { createAgent: () => ({}), getAgent: () => ({}) });
    });
    const client = createClient(FleetService, as("operator"));
    const error = await failure(
      client.createAgent({ agent: { id: "One", desiredState: 99 as never, spec: { model: "no model" } } }),
    );
    expect(Object.keys(detailOf(error)?.fields ?? {})).toEqual(["agent.id", "agent.spec.model", "agent.desired_state"]);
    expect(error.rawMessage).toMatch(/agent\.id: .*; agent\.spec\.model: .*; agent\.desired_state: /);
    const nul = await failure(client.getAgent({ agentId: "a\0b" }));
    expect(detailOf(nul)?.fields).toHaveProperty("agentId");
    const surrogate = await post(url, '{"agentId":"\\ud800"}', JSON_OF_OPERATOR);
    expect(surrogate.body.code).toBe("invalid_argument");
    const brokenText = Buffer.concat([Buffer.from([0x0a, 0x02]), Buffer.from([0xff, 0xfe])]);
    const broken = await post(url, brokenText, { ...JSON_OF_OPERATOR, "content-type": "application/proto" });
    expect(broken.status).toBeGreaterThanOrEqual(400);
    expect(await post(url, "[[[[[", JSON_OF_OPERATOR)).toMatchObject({ body: { code: "invalid_argument" } });
  });

  test("a request that does not arrive is cut, a stream that is silent is not", async () => {
    const { url } = await serve(
      (router) => {
        router.service(FleetService, { getAgent: () => ({}) });
        router.service(LinkService, {
          async *attach(requests) {
            for await (const _ of requests) {
              yield { message: { case: "ping", value: { id: 1n } } };
            }
          },
        });
      },
      { bodyTimeoutMs: 150 },
    );
    const session = http2Connect(url);
    session.on("error", () => {});
    const begin = (path: string, name: string, first: Buffer) => {
      const headers = { ":method": "POST", ":path": path, "content-type": "application/grpc", authorization: name };
      const stream = session.request(headers);
      stream.on("error", () => {}).write(first);
      return stream;
    };
    const silent = begin("/openhermit.mesh.v1.LinkService/Attach", "Bearer sidecar", Buffer.from([0, 0]));
    const slow = begin("/openhermit.fleet.v1.FleetService/GetAgent", "Bearer operator", Buffer.from([0, 0]));
    await new Promise((resolve) => slow.once("close", resolve));
    expect(silent.closed).toBe(false);
    session.destroy();
  });

  test("the gateway may refuse a method for the time being", async () => {
    const { as } = await serve((router) => router.service(FleetService, { getAgent: () => ({}) }), {
      admit: (method) => (method.name === "GetAgent" ? failedPrecondition("NOT_NOW", "not now") : undefined),
    });
    const error = await failure(createClient(FleetService, as("operator")).getAgent({ agentId: "one" }));
    expect(detailOf(error)?.reason).toBe("NOT_NOW");
  });
});
