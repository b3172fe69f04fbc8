import { createClient } from "@connectrpc/connect";
import { AuditOutcome, type AuditRecord } from "@openhermit/protocol/access/v1/audit_record";
import { AuditService } from "@openhermit/protocol/access/v1/audit_service";
import { GrantService } from "@openhermit/protocol/access/v1/grant_service";
import { MemberService } from "@openhermit/protocol/access/v1/member_service";
import { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { TokenService } from "@openhermit/protocol/access/v1/token_service";
import { CatalogService } from "@openhermit/protocol/catalog/v1/catalog_service";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { ManifestService } from "@openhermit/protocol/manifest/v1/manifest_service";
import { EnrollmentService } from "@openhermit/protocol/mesh/v1/enrollment_service";
import { waitFor } from "@openhermit/testing";
import { afterAll, beforeAll, expect, test } from "vitest";

import { PASSWORD } from "../../fixture/people.ts";
import { post } from "../../fixture/raw-call.ts";
import { gatherCast, memberSubject, type Cast } from "../cast.ts";
import { outcomeOf } from "../failure.ts";

let cast: Cast;
beforeAll(async () => {
  cast = await gatherCast();
}, 60_000);
afterAll(() => cast?.dispose());

const newest = async (filter: object = {}, pageSize = 10): Promise<AuditRecord[]> =>
  (await createClient(AuditService, cast.as(cast.operatorToken)).queryAudit({ filter, pageSize })).records;

test("each change leaves exactly one record, with actor, target and what changed; a change of nothing leaves none", async () => {
  const admin = cast.as(cast.people.get("admin")?.token);
  const fleet = createClient(FleetService, admin);
  const server = {
    id: "tools",
    transport: { case: "stdio" as const, value: { command: "/bin/true" } },
    agents: ["spare"],
  };
  const manifest = "agents:\n  spare:\n    model: offline/other\n    launcher: external\n";
  const token = { accessor: "" };
  const steps: [string, string, () => Promise<unknown>][] = [
    [
      "agents.create",
      "agent/made",
      () => fleet.createAgent({ agent: { id: "made", spec: { model: "offline/echo", launcher: 2 } } }),
    ],
    ["agents.update", "agent/made", () => fleet.updateAgent({ agent: { id: "made", displayName: "Made" } })],
    ["agents.stop", "agent/made", () => fleet.stopAgent({ agentId: "made" })],
    ["agents.start", "agent/made", () => fleet.startAgent({ agentId: "made" })],
    ["agents.delete", "agent/made", () => fleet.deleteAgent({ agentId: "made" })],
    [
      "providers.put",
      "provider/local",
      () => fleet.putProvider({ provider: { name: "local", kind: 4, baseUrl: "http://127.0.0.1:9/v1" } }),
    ],
    [
      "mcp-servers.put",
      "mcp-server/tools",
      () => createClient(CatalogService, admin).putMcpServer({ mcpServer: server }),
    ],
    [
      "mcp-servers.delete",
      "mcp-server/tools",
      () => createClient(CatalogService, admin).deleteMcpServer({ mcpServerId: "tools" }),
    ],
    [
      "agents.update",
      "agent/spare",
      () => createClient(ManifestService, admin).applyManifest({ manifest, fileName: "a.yaml" }),
    ],
    [
      "sidecars.invite",
      "sidecar/third",
      () => createClient(EnrollmentService, admin).createJoinToken({ sidecarId: "third", agentIds: ["spare"] }),
    ],
    [
      "members.invite",
      "member/new-one",
      () => createClient(MemberService, admin).inviteMember({ memberId: "new-one" }),
    ],
    [
      "members.update",
      "member/new-one",
      () => createClient(MemberService, admin).updateMember({ member: { id: "new-one", role: Role.OPERATOR } }),
    ],
    [
      "grants.put",
      "grant/",
      () =>
        createClient(GrantService, admin).putGrant({
          grant: { subject: memberSubject("viewer"), agentId: "one", role: Role.VIEWER },
        }),
    ],
    [
      "members.remove",
      "member/new-one",
      () => createClient(MemberService, admin).removeMember({ memberId: "new-one" }),
    ],
    [
      "tokens.create",
      "token/acc_",
      async () => {
        const made = await createClient(TokenService, admin).createToken({ scopes: ["agents:read"] });
        token.accessor = made.token?.accessor ?? "";
      },
    ],
    ["tokens.revoke", "token/acc_", () => createClient(TokenService, admin).revokeToken({ accessor: token.accessor })],
  ];
  for (const [action, target, step] of steps) {
    const before = (await newest())[0]?.id;
    await step();
    const records = await newest();
    const added = records.slice(
      0,
      records.findIndex(({ id }) => id === before),
    );
    expect(added.map((one) => [one.action, `${one.targetType}/${one.targetId}`])).toEqual([
      [action, expect.stringContaining(target)],
    ]);
    expect(added[0]).toMatchObject({
      actor: { kind: SubjectKind.MEMBER, id: "admin" },
      outcome: AuditOutcome.DONE,
      address: "127.0.0.1",
      requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
  }
  expect((await newest({ targetType: "agent", targetId: "spare" }))[0]?.changes).toContainEqual(
    expect.objectContaining({
      path: expect.stringMatching(/model$/),
      oldValue: "offline/echo",
      newValue: "offline/other",
    }),
  );
  const before = (await newest())[0]?.id;
  await createClient(ManifestService, admin).applyManifest({ manifest, fileName: "a.yaml" });
  await fleet.startAgent({ agentId: "spare" });
  expect((await newest())[0]?.id).toBe(before);
});

test("denied attempts and logins are in the trail, and no secret is", async () => {
  const viewer = cast.as(cast.people.get("viewer")?.token);
  const blue = cast.as(cast.people.get("blue-member")?.token);
  expect(await outcomeOf(createClient(MemberService, viewer).listMembers({}))).toBe("PermissionDenied RIGHT_MISSING");
  expect(await outcomeOf(createClient(FleetService, blue).getAgent({ agentId: "one" }))).toBe(
    "NotFound AGENT_NOT_FOUND",
  );
  expect(await outcomeOf(createClient(FleetService, cast.as()).listAgents({}))).toMatch(/^Unauthenticated/);
  const wrong = await post(
    `${cast.gateway.url}/openhermit.access.v1.LoginService/AcceptInvite`,
    { "content-type": "application/json" },
    JSON.stringify({ code: "a-made-up-code", password: PASSWORD }),
  );
  expect(wrong.status).toBe(403);
  const denied = await waitFor(
    async () => {
      const records = await newest({ outcome: AuditOutcome.DENIED }, 100);
      const actions = records.map(({ action }) => action);
      return ["ListMembers", "GetAgent", "ListAgents", "AcceptInvite"].every((name) =>
        actions.some((action) => action.includes(name) || (name === "AcceptInvite" && action.startsWith("invite"))),
      )
        ? records
        : undefined;
    },
    { what: "the denied attempts" },
  );
  const reach = denied.find(({ action }) => action.endsWith("GetAgent"));
  expect(reach).toMatchObject({ actor: { id: "blue-member" }, targetId: "one", reason: "AGENT_NOT_FOUND" });
  const logins = await newest({ actionPrefix: "login" }, 100);
  expect(logins.some(({ actor, outcome }) => actor?.id === "viewer" && outcome === AuditOutcome.DONE)).toBe(true);
  const everything = JSON.stringify(await newest({}, 1000), (_, value: unknown) =>
    typeof value === "bigint" ? `${value}` : value,
  );
  for (const secret of [PASSWORD, "argon2", "ohm_", cast.people.get("viewer")?.browser.cookies() ?? "no cookie"]) {
    expect(everything).not.toContain(secret);
  }
});

test("the trail can be followed while it grows", async () => {
  const seen: AuditRecord[] = [];
  let opened = false;
  const controller = new AbortController();
  const tail = (async () => {
    const stream = createClient(AuditService, cast.as(cast.operatorToken)).tailAudit(
      { filter: { actionPrefix: "tokens." } },
      { signal: controller.signal },
    );
    for await (const { records } of stream) {
      seen.push(...records);
      opened = true;
    }
  })().catch(() => undefined);
  await waitFor(() => opened, { what: "the tail to be open" });
  const tokens = createClient(TokenService, cast.as(cast.operatorToken));
  const made = await Promise.all(Array.from({ length: 10 }, () => tokens.createToken({ scopes: ["agents:read"] })));
  const accessors = made.map(({ token }) => token?.accessor ?? "").toSorted();
  // A record of a test before may still come.
  const ours = (): string[] => seen.map(({ targetId }) => targetId).filter((id) => accessors.includes(id));
  await waitFor(() => ours().length >= made.length, { what: "all records" });
  controller.abort();
  await tail;
  expect(ours().toSorted()).toEqual(accessors);
});
