import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { ActivityService } from "@openhermit/protocol/activity/v1/activity_service";
import { LoginService } from "@openhermit/protocol/access/v1/login_service";
import { MemberService } from "@openhermit/protocol/access/v1/member_service";
import { MemberState } from "@openhermit/protocol/access/v1/member";
import { Role } from "@openhermit/protocol/access/v1/subject";
import { TokenService } from "@openhermit/protocol/access/v1/token_service";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { waitFor } from "@openhermit/testing";
import { afterAll, beforeAll, expect, test } from "vitest";

import { addPerson } from "../../fixture/people.ts";
import { gatherCast, type Cast } from "../cast.ts";
import { outcomeOf } from "../failure.ts";

let cast: Cast;
beforeAll(async () => {
  cast = await gatherCast();
}, 60_000);
afterAll(() => cast?.dispose());

const tokens = (token: string) => createClient(TokenService, cast.as(token));
const fleet = (token: string) => createClient(FleetService, cast.as(token));
const newPerson = (id: string, role: Role) =>
  addPerson(cast.gateway.url, { operator: cast.as(cast.operatorToken), anonymous: cast.as() }, id, role);

test("a token of agents:one:read reads agent one, and nothing else", async () => {
  const { token, secret } = await tokens(cast.operatorToken).createToken({ scopes: ["agents:one:read"] });
  const one = fleet(secret);
  expect((await one.getAgent({ agentId: "one" })).agent?.id).toBe("one");
  for (const agentId of ["two", "one2", "on"]) {
    expect(await outcomeOf(one.getAgent({ agentId }))).toBe("NotFound AGENT_NOT_FOUND");
  }
  const elsewhere = [
    () => one.listAgents({}),
    () => one.stopAgent({ agentId: "one" }),
    () => one.listProviders({}),
    () => createClient(ActivityService, cast.as(secret)).queryEvents({ filter: { agentId: "one" } }),
    () => tokens(secret).createToken({ scopes: ["agents:one:read"] }),
  ];
  for (const call of elsewhere) expect(await outcomeOf(call())).toBe("PermissionDenied RIGHT_MISSING");
  const used = await waitFor(
    async () => {
      const { tokens: list } = await tokens(cast.operatorToken).listTokens({ pageSize: 1000 });
      return list.find(({ accessor }) => accessor === token?.accessor)?.lastUseTime;
    },
    { what: "its last use to show" },
  );
  expect(Math.abs(Date.now() - Number(used.seconds) * 1000)).toBeLessThan(60_000);
});

test("a revoked token is refused within a second", async () => {
  const { token, secret } = await tokens(cast.operatorToken).createToken({ scopes: ["agents:read"] });
  await fleet(secret).listAgents({});
  await tokens(cast.operatorToken).revokeToken({ accessor: token?.accessor ?? "" });
  const revoked = performance.now();
  await waitFor(async () => (await outcomeOf(fleet(secret).listAgents({}))) === "Unauthenticated CREDENTIAL_INVALID", {
    what: "the token to be refused",
    deadlineMs: 1_000,
  });
  expect(performance.now() - revoked).toBeLessThan(1_000);
});

test("a token mints no broader one", async () => {
  const { secret } = await tokens(cast.operatorToken).createToken({
    serviceAccountId: "robot",
    scopes: ["agents:one:read", "tokens:write"],
    ttl: { seconds: 3600n },
  });
  const minting = tokens(secret);
  for (const scope of ["agents:read", "agents:one:write", "agents:two:read", "activity:read", "*:read", "*:write"]) {
    expect([scope, await outcomeOf(minting.createToken({ scopes: [scope] }))]).toEqual([
      scope,
      "PermissionDenied SCOPE_TOO_BROAD",
    ]);
  }
  expect(await outcomeOf(minting.createToken({ scopes: ["agents:one:reed"] }))).toBe("InvalidArgument SCOPE_UNKNOWN");
  const child = await minting.createToken({ scopes: ["agents:one:read"] });
  const childEnd = Number(child.token?.expireTime?.seconds ?? 0n);
  expect(childEnd - Date.now() / 1000).toBeLessThanOrEqual(3600);
  await fleet(child.secret).getAgent({ agentId: "one" });
  await tokens(cast.operatorToken).revokeToken({ accessor: child.token?.parentAccessor ?? "" });
  await waitFor(async () => (await outcomeOf(fleet(child.secret).getAgent({ agentId: "one" }))) !== "ok", {
    what: "the child to end with its parent",
    deadlineMs: 1_000,
  });
});

test("a viewer gets no token that writes, also not for a service account that may", async () => {
  const viewer = cast.people.get("viewer")?.token ?? "";
  for (const request of [
    { scopes: ["agents:write"] },
    { scopes: ["agents:read"], serviceAccountId: "robot" },
    { scopes: ["members:read"] },
  ]) {
    expect(await outcomeOf(tokens(viewer).createToken(request))).toMatch(/^(PermissionDenied|NotFound) /);
  }
});

test("a demoted or disabled creator's tokens lose what the creator lost", async () => {
  const members = createClient(MemberService, cast.as(cast.operatorToken));
  const maker = await newPerson("maker", Role.ADMIN);
  const { secret } = await tokens(maker.token).createToken({
    serviceAccountId: "robot",
    scopes: ["agents:write", "members:read"],
  });
  const robot = fleet(secret);
  await robot.startAgent({ agentId: "shared" });
  await members.updateMember({ member: { id: "maker", role: Role.VIEWER } });
  expect(await outcomeOf(robot.startAgent({ agentId: "shared" }))).toBe("PermissionDenied RIGHT_MISSING");
  expect(await outcomeOf(createClient(MemberService, cast.as(secret)).listMembers({}))).toBe(
    "PermissionDenied RIGHT_MISSING",
  );
  await robot.getAgent({ agentId: "shared" });
  expect(await outcomeOf(robot.getAgent({ agentId: "one" }))).toBe("NotFound AGENT_NOT_FOUND");
  await members.updateMember({ member: { id: "maker", state: MemberState.DISABLED } });
  expect(await outcomeOf(robot.getAgent({ agentId: "shared" }))).not.toBe("ok");
  expect(await outcomeOf(fleet(maker.token).listAgents({}))).toBe("Unauthenticated CREDENTIAL_INVALID");
});

test("an open stream of a revoked token, or of a member who lost the right, is closed within 5 seconds", async () => {
  const { token, secret } = await tokens(cast.operatorToken).createToken({ scopes: ["activity:read"] });
  const reader = await newPerson("reader", Role.OPERATOR);
  const endOf = async (credential: string, opened: () => void) => {
    const stream = createClient(ActivityService, cast.as(credential)).tailEvents({});
    try {
      for await (const _ of stream) opened();
    } catch (error) {
      return Code[ConnectError.from(error).code];
    }
    return "ended";
  };
  let open = 0;
  const ends = [endOf(secret, () => (open += 1)), endOf(reader.token, () => (open += 1))];
  await waitFor(() => open >= 2, { what: "both streams to be open" });
  const cut = performance.now();
  await tokens(cast.operatorToken).revokeToken({ accessor: token?.accessor ?? "" });
  await createClient(MemberService, cast.as(cast.operatorToken)).removeMember({ memberId: "reader" });
  expect(await Promise.all(ends)).toEqual(["Unauthenticated", "Unauthenticated"]);
  expect(performance.now() - cut).toBeLessThan(5_000);
});

test("logging out ends the credential of the call, and no other", async () => {
  const person = await newPerson("leaver", Role.VIEWER);
  const other = await tokens(person.token).createToken({ scopes: ["agents:read"] });
  await createClient(LoginService, cast.as(person.token)).logout({});
  expect(await outcomeOf(fleet(person.token).listAgents({}))).toBe("Unauthenticated CREDENTIAL_INVALID");
  expect(await outcomeOf(fleet(other.secret).listAgents({}))).toBe("ok");
});
