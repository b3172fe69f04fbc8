import { createClient, type Transport } from "@connectrpc/connect";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { packBundle } from "@openhermit/skill-bundle";

import { attachClaimingAgentOne, publishClaimingAgentOne } from "./link-calls.ts";

/** Who calls. The agent `one` belongs to the team `red`, `two` to `blue`, `shared` to nobody. */
export const CALLERS = [
  "anonymous",
  "viewer",
  "operator",
  "admin",
  "owner",
  "team member",
  "other team's member",
  "local operator",
  "token with the exact scope",
  "token with a neighbour's scope",
  "expired token",
  "revoked token",
  "sidecar",
  "other sidecar",
] as const;

/** Who calls. */
export type CallerKind = (typeof CALLERS)[number];

/** The agents a call is made about: one of the team `red`, and one of nobody. */
export const TARGETS = ["one", "shared"] as const;

/** The lowest role that may call, or who else. */
export type Needs = "everybody" | "somebody" | "viewer" | "operator" | "admin" | "local operator" | "sidecar";

/** What one method must do, for every caller. */
export interface Expectation {
  needs: Needs;
  /** The scope that opens it, `resource:verb`; of a method for everybody and of sidecars none. */
  scope?: string;
  /** How it is bound to agents: checked by the request, filtered, or looked up. */
  agents?: "selected" | "listed" | "looked up";
  /** The request about an agent; of a stream in both directions the only one. Default: empty. */
  request?: (agentId: string) => object;
  /** Makes the call where one request is not enough; resolves when it went well. */
  call?: (transport: Transport) => Promise<void>;
  /** Takes back what the call did, so that the next one finds the agent as it was. */
  undo?: (operator: Transport, agentId: string) => Promise<unknown>;
  /** What whoever may call gets: `ok`, or a code and a reason: `not_found TURN_NOT_FOUND`. Default: `ok`. */
  result?: string;
  /** What whoever may call gets whose agent is out of reach. Default: AGENT_NOT_FOUND if selected, else the result. */
  outOfReach?: string;
  /** What a token gets whose scope names the agent. Default: as whoever may call. */
  narrowed?: string;
  /** What a token gets whose scope names another agent. Default: that there is none, or that it lacks the right. */
  neighbour?: string;
  /** The callers it is tried with. Default: all. */
  only?: readonly CallerKind[];
  /** Of a sidecar's method: what the sidecar of another agent gets. */
  otherSidecar?: string;
}

const agentMissing = "not_found AGENT_NOT_FOUND";
const rightMissing = "permission_denied RIGHT_MISSING";

const proof = { publicKey: new Uint8Array(32), nonce: "made-up", signature: new Uint8Array(64) };
const subject = { kind: 2, id: "nobody-known" };
/** The MCP server that stands for an agent; made before anybody calls. */
export const mcpServer = (agentId: string) => ({
  id: `files-${agentId}`,
  transport: { case: "stdio" as const, value: { command: "/bin/true" } },
  agents: [agentId],
});

/** The files of a skill. */
export const skillBundle = (name: string) => ({
  files: [
    { path: "SKILL.md", content: Buffer.from(`---\nname: ${name}\ndescription: Takes notes.\n---\nTake notes.\n`) },
  ],
});
/** The skill that stands for an agent, with the digest of its bundle. */
export const skillOf = (agentId: string) => {
  const id = `notes-${agentId}`;
  const { digest } = packBundle(skillBundle(id).files.map((file) => ({ ...file, executable: false })));
  return { id, digest, agents: [agentId] };
};
const manifestFile = (text: string) => ({ files: [{ name: "a.yaml", text }] });

const FLEET = "openhermit.fleet.v1.FleetService";
const CATALOG = "openhermit.catalog.v1.CatalogService";
const SKILLS = "openhermit.catalog.v1.SkillService";
const MANIFESTS = "openhermit.manifest.v1.ManifestService";
const SESSIONS = "openhermit.sessions.v1.SessionService";
const ACCESS = "openhermit.access.v1";

const reads = (scope: string, rest: Partial<Expectation> = {}): Expectation => ({
  needs: "viewer",
  scope: `${scope}:read`,
  ...rest,
});
const writes = (scope: string, rest: Partial<Expectation> = {}): Expectation => ({
  needs: "operator",
  scope: `${scope}:write`,
  ...rest,
});
const administers = (scope: string, rest: Partial<Expectation> = {}): Expectation => ({
  needs: "admin",
  scope: `${scope}:write`,
  ...rest,
});

const plans = (rest: Partial<Expectation> = {}): Expectation => ({
  ...writes("manifests", { agents: "looked up", ...rest }),
  scope: "manifests:read",
});

/** Every method of the gateway. A method without a line here fails the test. Nothing here may change what another call finds. */
export const EXPECTATIONS: Readonly<Record<string, Expectation>> = {
  [`${FLEET}/CreateAgent`]: writes("agents", {
    agents: "looked up",
    request: (id) => ({ agent: { id, spec: { model: "offline/echo", launcher: 2 } } }),
    result: "already_exists AGENT_EXISTS",
  }),
  [`${FLEET}/GetAgent`]: reads("agents", { agents: "selected", request: (agentId) => ({ agentId }) }),
  [`${FLEET}/ListAgents`]: reads("agents", { agents: "listed", narrowed: rightMissing }),
  [`${FLEET}/UpdateAgent`]: writes("agents", {
    agents: "selected",
    request: (id) => ({ agent: { id, displayName: id }, updateMask: { paths: ["display_name"] } }),
  }),
  [`${FLEET}/DeleteAgent`]: writes("agents", {
    agents: "selected",
    request: (agentId) => ({ agentId, etag: "long-ago" }),
    result: "aborted AGENT_CHANGED",
  }),
  [`${FLEET}/StartAgent`]: writes("agents", { agents: "selected", request: (agentId) => ({ agentId }) }),
  [`${FLEET}/StopAgent`]: writes("agents", {
    agents: "selected",
    request: (agentId) => ({ agentId }),
    undo: (operator, agentId) => createClient(FleetService, operator).startAgent({ agentId }),
  }),
  [`${FLEET}/RestartAgent`]: writes("agents", {
    agents: "selected",
    request: (agentId) => ({ agentId }),
    result: "failed_precondition AGENT_LAUNCHED_EXTERNALLY",
  }),
  [`${FLEET}/PutProvider`]: administers("providers", {
    request: () => ({ provider: { name: "local", kind: 4, baseUrl: "http://127.0.0.1:9/v1" } }),
  }),
  [`${FLEET}/DeleteProvider`]: administers("providers", {
    request: () => ({ providerName: "none" }),
    result: "not_found PROVIDER_NOT_FOUND",
  }),
  [`${FLEET}/ListProviders`]: reads("providers"),
  [`${FLEET}/GetDefaults`]: reads("agents", { agents: "looked up", neighbour: "ok" }),
  // Who does not reach every agent changes nothing that concerns every agent.
  [`${FLEET}/PutDefaults`]: administers("agents", {
    agents: "looked up",
    request: () => ({ defaults: { spec: { instructions: "Obey me." } } }),
    undo: (operator) => createClient(FleetService, operator).putDefaults({ defaults: { spec: {} } }),
    narrowed: rightMissing,
  }),
  [`${FLEET}/WatchApplied`]: reads("agents", {
    agents: "looked up",
    request: (agentId) => ({ agentIds: [agentId] }),
    outOfReach: agentMissing,
    neighbour: agentMissing,
  }),

  [`${CATALOG}/PutMcpServer`]: writes("mcp-servers", {
    agents: "looked up",
    request: (agentId) => ({ mcpServer: mcpServer(agentId) }),
    outOfReach: "not_found MCP_SERVER_NOT_FOUND",
  }),
  [`${CATALOG}/GetMcpServer`]: reads("mcp-servers", {
    agents: "looked up",
    request: () => ({ mcpServerId: "none" }),
    result: "not_found MCP_SERVER_NOT_FOUND",
  }),
  [`${CATALOG}/ListMcpServers`]: reads("mcp-servers", { agents: "listed" }),
  [`${CATALOG}/EnableMcpServer`]: writes("mcp-servers", {
    agents: "looked up",
    request: (agentId) => ({ mcpServerId: mcpServer(agentId).id, agentId }),
    outOfReach: "not_found MCP_SERVER_NOT_FOUND",
  }),
  [`${CATALOG}/DisableMcpServer`]: writes("mcp-servers", {
    agents: "looked up",
    request: (agentId) => ({ mcpServerId: "none", agentId }),
    result: "not_found MCP_SERVER_NOT_FOUND",
  }),
  [`${CATALOG}/GetMcpServerStatus`]: reads("mcp-servers", {
    agents: "looked up",
    request: (agentId) => ({ mcpServerId: mcpServer(agentId).id }),
    outOfReach: "not_found MCP_SERVER_NOT_FOUND",
  }),
  [`${CATALOG}/DeleteMcpServer`]: writes("mcp-servers", {
    agents: "looked up",
    request: () => ({ mcpServerId: "none" }),
    result: "not_found MCP_SERVER_NOT_FOUND",
  }),

  [`${SKILLS}/PutBundle`]: writes("skills", { request: () => ({ bundle: skillBundle("notes") }) }),
  [`${SKILLS}/PutSkill`]: writes("skills", {
    agents: "looked up",
    request: (agentId) => ({ skill: skillOf(agentId) }),
    outOfReach: "not_found SKILL_NOT_FOUND",
  }),
  ...Object.fromEntries(
    (["GetSkill", "GetBundle"] as const).map((name) => [
      `${SKILLS}/${name}`,
      reads("skills", {
        agents: "looked up",
        request: (agentId) => ({ skillId: skillOf(agentId).id }),
        outOfReach: "not_found SKILL_NOT_FOUND",
      }),
    ]),
  ),
  [`${SKILLS}/ListSkills`]: reads("skills", { agents: "listed" }),
  [`${SKILLS}/EnableSkill`]: writes("skills", {
    agents: "looked up",
    request: (agentId) => ({ skillId: skillOf(agentId).id, agentId }),
    outOfReach: "not_found SKILL_NOT_FOUND",
  }),
  [`${SKILLS}/DisableSkill`]: writes("skills", {
    agents: "looked up",
    request: (agentId) => ({ skillId: "none", agentId }),
    result: "not_found SKILL_NOT_FOUND",
  }),
  [`${SKILLS}/DeleteSkill`]: writes("skills", {
    agents: "looked up",
    request: () => ({ skillId: "none" }),
    result: "not_found SKILL_NOT_FOUND",
  }),

  [`${SESSIONS}/SendMessage`]: writes("sessions", {
    agents: "selected",
    request: (agentId) => ({ agentId, message: "hello" }),
  }),
  ...Object.fromEntries(
    (["WatchTurn", "GetTurn"] as const).map((name) => [
      `${SESSIONS}/${name}`,
      reads("sessions", {
        agents: "looked up",
        request: () => ({ turnId: "none" }),
        result: "not_found TURN_NOT_FOUND",
      }),
    ]),
  ),
  [`${SESSIONS}/CancelTurn`]: writes("sessions", {
    agents: "looked up",
    request: () => ({ turnId: "none" }),
    result: "not_found TURN_NOT_FOUND",
  }),
  ...Object.fromEntries(
    (["GetSession", "ListTranscript"] as const).map((name) => [
      `${SESSIONS}/${name}`,
      reads("sessions", {
        agents: "looked up",
        request: () => ({ sessionId: "none" }),
        result: "not_found SESSION_NOT_FOUND",
      }),
    ]),
  ),
  [`${SESSIONS}/ListSessions`]: reads("sessions", { agents: "listed", request: (agentId) => ({ agentId }) }),

  "openhermit.activity.v1.ActivityService/QueryEvents": reads("activity", {
    agents: "listed",
    request: (agentId) => ({ filter: { agentId } }),
  }),
  "openhermit.activity.v1.ActivityService/TailEvents": reads("activity", {
    agents: "listed",
    request: (agentId) => ({ filter: { agentId } }),
  }),
  "openhermit.health.v1.HealthService/GetFleetHealth": reads("health", { agents: "listed", narrowed: rightMissing }),
  [`${MANIFESTS}/ApplyManifest`]: writes("manifests", {
    agents: "looked up",
    request: () => ({ manifest: "nonsense: 1", fileName: "a.yaml", dryRun: true }),
    result: "invalid_argument MANIFEST_INVALID",
  }),
  ...Object.fromEntries(
    (["PlanManifest", "DetectDrift"] as const).map((name) => [
      `${MANIFESTS}/${name}`,
      plans({
        request: () => ({ manifest: manifestFile("nonsense: 1") }),
        result: "invalid_argument MANIFEST_INVALID",
      }),
    ]),
  ),
  [`${MANIFESTS}/ExportManifest`]: plans({
    request: (agentId) => ({ agentIds: [agentId] }),
    outOfReach: agentMissing,
  }),
  [`${MANIFESTS}/CompareAgents`]: plans({
    request: (agentId) => ({ agentId: "spare", otherAgentId: agentId }),
    outOfReach: agentMissing,
  }),

  "openhermit.mesh.v1.EnrollmentService/CreateJoinToken": writes("sidecars", {
    agents: "looked up",
    request: (agentId) => ({ sidecarId: `of-${agentId}`, agentIds: [agentId] }),
    outOfReach: agentMissing,
  }),
  "openhermit.mesh.v1.EnrollmentService/GetNonce": { needs: "everybody" },
  "openhermit.mesh.v1.EnrollmentService/Join": {
    needs: "everybody",
    request: () => ({ joinToken: "made-up", proof }),
    result: "unauthenticated NONCE_INVALID",
  },
  "openhermit.mesh.v1.EnrollmentService/IssueToken": {
    needs: "everybody",
    request: () => ({ proof }),
    result: "unauthenticated NONCE_INVALID",
  },
  "openhermit.mesh.v1.LinkService/Attach": {
    needs: "sidecar",
    call: attachClaimingAgentOne,
    otherSidecar: "invalid_argument AGENT_NOT_HOSTED",
  },
  "openhermit.mesh.v1.LinkService/Publish": {
    needs: "sidecar",
    call: publishClaimingAgentOne,
    otherSidecar: "permission_denied AGENT_NOT_HOSTED",
  },

  "openhermit.mesh.v1.LinkService/ReadBundle": {
    needs: "sidecar",
    request: () => ({ agentId: "one", digest: skillOf("one").digest }),
    otherSidecar: "not_found BUNDLE_NOT_FOUND",
  },

  [`${ACCESS}.LoginService/CreateSetupCode`]: {
    needs: "local operator",
    scope: "host:write",
    result: "failed_precondition OWNER_EXISTS",
  },
  [`${ACCESS}.LoginService/CreateLoginLink`]: { needs: "local operator", scope: "host:write" },
  // A wrong code counts as an attempt, and attempts are limited: what is wrong here is the password.
  [`${ACCESS}.LoginService/ClaimOwnership`]: {
    needs: "everybody",
    request: () => ({ code: "made-up", memberId: "thief", password: "short" }),
    result: "invalid_argument REQUEST_INVALID",
  },
  [`${ACCESS}.LoginService/AcceptInvite`]: {
    needs: "everybody",
    request: () => ({ code: "made-up", password: "short" }),
    result: "invalid_argument REQUEST_INVALID",
  },
  [`${ACCESS}.LoginService/ExchangeLoginCode`]: {
    needs: "everybody",
    request: () => ({ code: "made-up", verifier: "short" }),
    result: "invalid_argument REQUEST_INVALID",
  },
  [`${ACCESS}.LoginService/GetIdentity`]: { needs: "somebody", scope: "self:read" },
  // Whoever may log out is needed for the next call; see logout.test.ts for them.
  [`${ACCESS}.LoginService/Logout`]: {
    needs: "somebody",
    result: "failed_precondition OPERATOR_TOKEN_STAYS",
    only: ["anonymous", "local operator", "expired token", "revoked token", "sidecar", "other sidecar"],
  },
  [`${ACCESS}.LoginService/ChangePassword`]: {
    needs: "somebody",
    request: () => ({ currentPassword: "x", newPassword: "short" }),
    result: "invalid_argument REQUEST_INVALID",
  },

  [`${ACCESS}.MemberService/InviteMember`]: administers("members", {
    request: () => ({ memberId: "viewer", role: 1 }),
    result: "already_exists MEMBER_EXISTS",
  }),
  [`${ACCESS}.MemberService/RenewInvite`]: administers("members", {
    request: () => ({ memberId: "nobody-known" }),
    result: "not_found MEMBER_NOT_FOUND",
  }),
  [`${ACCESS}.MemberService/GetMember`]: {
    ...administers("members", { request: () => ({ memberId: "viewer" }) }),
    scope: "members:read",
  },
  [`${ACCESS}.MemberService/ListMembers`]: { ...administers("members"), scope: "members:read" },
  [`${ACCESS}.MemberService/UpdateMember`]: administers("members", {
    request: () => ({ member: { id: "nobody-known", displayName: "x" } }),
    result: "not_found MEMBER_NOT_FOUND",
  }),
  [`${ACCESS}.MemberService/RemoveMember`]: administers("members", {
    request: () => ({ memberId: "nobody-known" }),
    result: "not_found MEMBER_NOT_FOUND",
  }),

  [`${ACCESS}.TeamService/CreateTeam`]: administers("teams", {
    request: () => ({ team: { id: "red" } }),
    result: "already_exists TEAM_EXISTS",
  }),
  [`${ACCESS}.TeamService/GetTeam`]: reads("teams", {
    request: () => ({ teamId: "nobody-known" }),
    result: "not_found TEAM_NOT_FOUND",
  }),
  [`${ACCESS}.TeamService/ListTeams`]: reads("teams"),
  [`${ACCESS}.TeamService/DeleteTeam`]: administers("teams", {
    request: () => ({ teamId: "nobody-known" }),
    result: "not_found TEAM_NOT_FOUND",
  }),
  [`${ACCESS}.TeamService/AddTeamMember`]: administers("teams", {
    request: () => ({ teamId: "red", subject }),
    result: "not_found MEMBER_NOT_FOUND",
  }),
  [`${ACCESS}.TeamService/RemoveTeamMember`]: administers("teams", {
    request: () => ({ teamId: "nobody-known", subject }),
    result: "not_found TEAM_NOT_FOUND",
  }),

  [`${ACCESS}.ServiceAccountService/CreateServiceAccount`]: administers("service-accounts", {
    request: () => ({ serviceAccount: { id: "robot" } }),
    result: "already_exists SERVICE_ACCOUNT_EXISTS",
  }),
  [`${ACCESS}.ServiceAccountService/GetServiceAccount`]: {
    ...administers("service-accounts", { request: () => ({ serviceAccountId: "robot" }) }),
    scope: "service-accounts:read",
  },
  [`${ACCESS}.ServiceAccountService/ListServiceAccounts`]: {
    ...administers("service-accounts"),
    scope: "service-accounts:read",
  },
  [`${ACCESS}.ServiceAccountService/UpdateServiceAccount`]: administers("service-accounts", {
    request: () => ({ serviceAccount: { id: "nobody-known", displayName: "x" } }),
    result: "not_found SERVICE_ACCOUNT_NOT_FOUND",
  }),
  [`${ACCESS}.ServiceAccountService/DeleteServiceAccount`]: administers("service-accounts", {
    request: () => ({ serviceAccountId: "nobody-known" }),
    result: "not_found SERVICE_ACCOUNT_NOT_FOUND",
  }),

  [`${ACCESS}.TokenService/CreateToken`]: {
    needs: "viewer",
    scope: "tokens:write",
    request: () => ({ scopes: ["no-such-thing:read"] }),
    result: "invalid_argument SCOPE_UNKNOWN",
  },
  [`${ACCESS}.TokenService/ListTokens`]: reads("tokens"),
  [`${ACCESS}.TokenService/RevokeToken`]: {
    needs: "viewer",
    scope: "tokens:write",
    request: () => ({ accessor: "acc_none" }),
    result: "not_found TOKEN_NOT_FOUND",
  },
  [`${ACCESS}.TokenService/ListScopes`]: { needs: "somebody", scope: "self:read" },

  [`${ACCESS}.GrantService/PutGrant`]: administers("grants", {
    request: (agentId) => ({ grant: { subject, agentId, role: 1 } }),
    result: "not_found MEMBER_NOT_FOUND",
  }),
  [`${ACCESS}.GrantService/ListGrants`]: { ...administers("grants"), scope: "grants:read" },
  [`${ACCESS}.GrantService/DeleteGrant`]: administers("grants", {
    request: (agentId) => ({ agentId, subject }),
    result: "not_found GRANT_NOT_FOUND",
  }),

  [`${ACCESS}.AuditService/QueryAudit`]: { needs: "admin", scope: "audit:read" },
  [`${ACCESS}.AuditService/TailAudit`]: { needs: "admin", scope: "audit:read" },

  "grpc.health.v1.Health/Check": { needs: "everybody" },
  "grpc.health.v1.Health/List": reads("health"),
  "grpc.health.v1.Health/Watch": reads("health"),
  "grpc.reflection.v1.ServerReflection/ServerReflectionInfo": reads("reflection", {
    request: () => ({ messageRequest: { case: "listServices", value: "" } }),
  }),
  "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": reads("reflection", {
    request: () => ({ messageRequest: { case: "listServices", value: "" } }),
  }),
};

const ROLES: Partial<Record<CallerKind, number>> = {
  viewer: 1,
  operator: 2,
  admin: 3,
  owner: 4,
  "team member": 2,
  "other team's member": 2,
  "local operator": 4,
};
const NEEDED: Partial<Record<Needs, number>> = { somebody: 0, viewer: 1, operator: 2, admin: 3 };

/** Whether a caller reaches the target. Written down here anew, so that the product can't be right by its own measure. */
function reaches(caller: CallerKind, target: string): boolean {
  return target === "shared" || ["admin", "owner", "team member", "local operator"].includes(caller);
}

/** What must come of one call: `ok`, or a code and a reason. */
export function expectedResult(expectation: Expectation, caller: CallerKind, target: string): string {
  const { needs, agents, result = "ok" } = expectation;
  const missing = expectation.outOfReach ?? (agents === "selected" ? agentMissing : result);
  if (needs === "everybody") return result;
  if (caller === "anonymous") return "unauthenticated CREDENTIAL_MISSING";
  if (caller === "expired token" || caller === "revoked token") return "unauthenticated CREDENTIAL_INVALID";
  if (caller === "sidecar" || caller === "other sidecar") {
    if (needs !== "sidecar") return "permission_denied AUDIENCE_WRONG";
    return caller === "sidecar" ? result : (expectation.otherSidecar ?? result);
  }
  if (needs === "sidecar") return "permission_denied AUDIENCE_WRONG";
  if (needs === "local operator") return caller === "local operator" ? result : rightMissing;
  if (caller === "token with the exact scope") return expectation.narrowed ?? result;
  if (caller === "token with a neighbour's scope") {
    if (needs === "somebody") return result;
    if (expectation.neighbour !== undefined) return expectation.neighbour;
    // Another agent's token sees that there is none of this name, and of what it names by another id as little.
    if (agents === "selected") return agentMissing;
    return agents === "looked up" && expectation.scope?.startsWith("sessions:") === true ? result : rightMissing;
  }
  if ((ROLES[caller] ?? 0) < (NEEDED[needs] ?? 0)) return rightMissing;
  return reaches(caller, target) ? result : missing;
}

/** The scopes of the token that just opens a method for an agent, and of one that just does not. */
export function scopesFor(
  { scope = "", agents, needs }: Expectation,
  target: string,
): { exact: string; neighbour: string } {
  const [resource = "", verb = ""] = scope.split(":");
  const aboutAgents = ["agents", "sessions", "activity", "health"].includes(resource);
  if (["local operator", "everybody", "somebody", "sidecar"].includes(needs)) {
    return { exact: "agents:read", neighbour: "agents:read" };
  }
  if (aboutAgents && agents !== undefined) {
    return { exact: `${resource}:${target}:${verb}`, neighbour: `${resource}:${target}2:${verb}` };
  }
  return { exact: `${resource}:${verb}`, neighbour: resource === "agents" ? "activity:read" : "agents:read" };
}
