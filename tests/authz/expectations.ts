import type { Transport } from "@connectrpc/connect";

import { attachClaimingAgentOne, publishClaimingAgentOne } from "./link-calls.ts";

/** Who calls. */
export type CallerKind = "anonymous" | "operator" | "sidecarOfAgent" | "sidecarOfOtherAgent";

/** What must come of the calls of one method. A result is `ok`, or a code and a reason: `not_found AGENT_NOT_FOUND`. */
export interface Expectation {
  /** The request; of a stream in both directions the only one. Default: empty. */
  request?: object;
  /** Makes the call where one request is not enough; resolves when it went well. */
  call?: (transport: Transport) => Promise<void>;
  results: Readonly<Record<CallerKind, string>>;
}

const NO_CREDENTIAL = "unauthenticated CREDENTIAL_MISSING";
const NOT_FOR_YOU = "permission_denied AUDIENCE_WRONG";

/** For people: sidecars are refused, and so is whoever has no credential. */
const people = (request: object = {}, operator = "ok"): Expectation => ({
  request,
  results: {
    anonymous: NO_CREDENTIAL,
    operator,
    sidecarOfAgent: NOT_FOR_YOU,
    sidecarOfOtherAgent: NOT_FOR_YOU,
  },
});

/** For everybody; the method checks what it is given. */
const everybody = (request: object = {}, result = "ok"): Expectation => ({
  request,
  results: { anonymous: result, operator: result, sidecarOfAgent: result, sidecarOfOtherAgent: result },
});

/** For sidecars, which may speak for their own agents only. */
const sidecars = (call: (transport: Transport) => Promise<void>, ofOtherAgent: string): Expectation => ({
  call,
  results: {
    anonymous: NO_CREDENTIAL,
    operator: NOT_FOR_YOU,
    sidecarOfAgent: "ok",
    sidecarOfOtherAgent: ofOtherAgent,
  },
});

const agent = (id: string) => ({ id, spec: { model: "offline/echo", launcher: 2 } });
const proof = { publicKey: new Uint8Array(32), nonce: "made-up", signature: new Uint8Array(64) };
const mcpServer = { id: "files", transport: { case: "stdio", value: { command: "/bin/true" } }, agents: ["spare"] };

/**
 * Every method of the gateway. A new method without a line here fails the test. The agents `one` (hosted by the sidecar
 * of this agent), `two` (by the other) and `spare` exist.
 */
export const EXPECTATIONS: Readonly<Record<string, Expectation>> = {
  "openhermit.activity.v1.ActivityService/QueryEvents": people({ filter: { agentId: "one" } }),
  "openhermit.activity.v1.ActivityService/TailEvents": people({ filter: { agentId: "one" } }),
  "openhermit.catalog.v1.CatalogService/PutMcpServer": people({ mcpServer }),
  "openhermit.catalog.v1.CatalogService/GetMcpServer": people(
    { mcpServerId: "none" },
    "not_found MCP_SERVER_NOT_FOUND",
  ),
  "openhermit.catalog.v1.CatalogService/ListMcpServers": people(),
  "openhermit.catalog.v1.CatalogService/DeleteMcpServer": people(
    { mcpServerId: "none" },
    "not_found MCP_SERVER_NOT_FOUND",
  ),
  "openhermit.fleet.v1.FleetService/CreateAgent": people({ agent: agent("made") }),
  "openhermit.fleet.v1.FleetService/GetAgent": people({ agentId: "one" }),
  "openhermit.fleet.v1.FleetService/ListAgents": people(),
  "openhermit.fleet.v1.FleetService/UpdateAgent": people({ agent: agent("spare") }),
  "openhermit.fleet.v1.FleetService/DeleteAgent": people({ agentId: "none" }, "not_found AGENT_NOT_FOUND"),
  "openhermit.fleet.v1.FleetService/StartAgent": people({ agentId: "spare" }),
  "openhermit.fleet.v1.FleetService/StopAgent": people({ agentId: "spare" }),
  "openhermit.fleet.v1.FleetService/RestartAgent": people({ agentId: "none" }, "not_found AGENT_NOT_FOUND"),
  "openhermit.fleet.v1.FleetService/PutProvider": people({
    provider: { name: "local", kind: 4, baseUrl: "http://127.0.0.1:9/v1" },
  }),
  "openhermit.fleet.v1.FleetService/ListProviders": people(),
  "openhermit.health.v1.HealthService/GetFleetHealth": people(),
  "openhermit.manifest.v1.ManifestService/ApplyManifest": people(
    { manifest: "nonsense: 1", fileName: "a.yaml", dryRun: true },
    "invalid_argument MANIFEST_INVALID",
  ),
  "openhermit.mesh.v1.EnrollmentService/CreateJoinToken": people({ sidecarId: "third", agentIds: ["spare"] }),
  "openhermit.mesh.v1.EnrollmentService/GetNonce": everybody(),
  "openhermit.mesh.v1.EnrollmentService/Join": everybody(
    { joinToken: "made-up", proof },
    "unauthenticated NONCE_INVALID",
  ),
  "openhermit.mesh.v1.EnrollmentService/IssueToken": everybody({ proof }, "unauthenticated NONCE_INVALID"),
  "openhermit.mesh.v1.LinkService/Attach": sidecars(attachClaimingAgentOne, "invalid_argument AGENT_NOT_HOSTED"),
  "openhermit.mesh.v1.LinkService/Publish": sidecars(publishClaimingAgentOne, "permission_denied AGENT_NOT_HOSTED"),
  "openhermit.sessions.v1.SessionService/SendMessage": people({ agentId: "one", message: "hello" }),
  "openhermit.sessions.v1.SessionService/WatchTurn": people({ turnId: "none" }, "not_found TURN_NOT_FOUND"),
  "openhermit.sessions.v1.SessionService/CancelTurn": people({ turnId: "none" }, "not_found TURN_NOT_FOUND"),
  "openhermit.sessions.v1.SessionService/GetTurn": people({ turnId: "none" }, "not_found TURN_NOT_FOUND"),
  "openhermit.sessions.v1.SessionService/GetSession": people({ sessionId: "none" }, "not_found SESSION_NOT_FOUND"),
  "openhermit.sessions.v1.SessionService/ListSessions": people(),
  "openhermit.sessions.v1.SessionService/ListTranscript": people({ sessionId: "none" }, "not_found SESSION_NOT_FOUND"),
  "grpc.health.v1.Health/Check": everybody(),
  "grpc.health.v1.Health/List": everybody(),
  "grpc.health.v1.Health/Watch": everybody(),
  "grpc.reflection.v1.ServerReflection/ServerReflectionInfo": people({
    messageRequest: { case: "listServices", value: "" },
  }),
  "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": people({
    messageRequest: { case: "listServices", value: "" },
  }),
};
