import { sql } from "@openhermit/postgres";
import { AuditService } from "@openhermit/protocol/access/v1/audit_service";
import { MemberService } from "@openhermit/protocol/access/v1/member_service";
import { Role } from "@openhermit/protocol/access/v1/subject";
import { waitFor, type TestDatabase } from "@openhermit/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { announce } from "./access-channel-store.ts";
import { accessDatabase, clearAccess, member, storeMember, storeTeam } from "./test/access-database.ts";
import { browser, operator, startAccess, tellAll, type AccessFixture } from "./test/access-fixture.ts";

let store: TestDatabase;
let here: AccessFixture;
let there: AccessFixture;

const alice = browser(member("alice"));

beforeAll(async () => {
  store = await accessDatabase();
  here = await startAccess(store.database);
  there = await startAccess(store.database);
});
afterAll(async () => {
  await Promise.all([here.stop(), there.stop()]);
  await store.drop();
});
beforeEach(async () => {
  await clearAccess(store.database);
  await storeMember(store.database, "alice", Role.ADMIN);
  await tellAll(store.database, [here, there]);
});

describe("a credential is current", () => {
  it("for the local operator always, for nobody else who is unknown", () => {
    expect(here.access.localOperator).toEqual(operator);
    expect(here.access.isCurrent(here.access.localOperator)).toBe(true);
    expect(here.access.isCurrent(browser(member("nobody")))).toBe(false);
    // A session that this gateway has never verified.
    expect(here.access.isCurrent(alice)).toBe(false);
  });

  it("on every gateway until its session ends or its member is removed on one of them", async () => {
    const { code } = await here.access.logins.createSetupCode();
    const attempt = { address: "192.0.2.1", userAgent: "test", requestId: "r" };
    const { session } = await here.access.logins.claimOwnership(
      { code, memberId: "olga", displayName: "", password: "correct horse battery" },
      attempt,
    );
    const principal = await there.access.verifySession(session.secret);
    if (principal === undefined) throw new Error("the other gateway does not know the session");
    expect(there.access.isCurrent(principal)).toBe(true);
    expect(there.access.decide(principal, "members", "write").granted).toBe(true);
    let told = 0;
    const end = there.access.onChanged(() => (told += 1));
    await here.access.logins.logOut(session.principal, attempt);
    await waitFor(() => !there.access.isCurrent(principal), { what: "the end of the session", deadlineMs: 1000 });
    expect(told).toBeGreaterThan(0);
    end();
    expect(await there.access.verifySession(session.secret)).toBeUndefined();
  });

  it("no longer when the revocation was announced while the connection for notices was down", async () => {
    const { secret, token } = await here.as(alice).tokens.createToken({ scopes: ["agents:read"] });
    const principal = await there.access.verifyToken(secret, "");
    if (principal === undefined || token === undefined) throw new Error("no principal");
    expect(there.access.isCurrent(principal)).toBe(true);
    // As if nobody had been told: no notice, then all connections break, the one for notices too.
    await store.database.query(sql`UPDATE access.tokens SET revoke_time = now()`);
    expect(await there.access.verifyToken(secret, "")).toBeDefined();
    await store.database
      .query(sql`
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()`)
      .catch(() => undefined);
    await waitFor(() => !there.access.isCurrent(principal), { what: "the token to be looked up", deadlineMs: 5000 });
    expect(await there.access.verifyToken(secret, "")).toBeUndefined();
  });
});

it("tells of changes of the directory once it has read them", async () => {
  const seen: boolean[] = [];
  const end = here.access.onChanged(() => seen.push(here.access.isTeam("red")));
  await storeTeam(store.database, "red");
  await announce(store.database, [{ kind: "directory" }]);
  await waitFor(() => seen.length > 0, { what: "the change", deadlineMs: 1000 });
  end();
  expect(seen).toEqual([true]);
});

it("serves members and the audit trail too", async () => {
  const clients = here.as(alice);
  const members = await clients.client(MemberService).listMembers({});
  expect(members.members.map(({ id }) => id)).toEqual(["alice"]);
  await clients.teams.createTeam({ team: { id: "blue" } });
  here.access.recordDenial({
    actor: { subject: member("alice"), onBehalfOf: undefined, accessor: "", requestId: "r", address: "" },
    action: "openhermit.fleet.v1.FleetService/GetAgent",
    targetType: "agent",
    targetId: "one",
    reason: "RIGHT_MISSING",
  });
  const actions = async (): Promise<string[]> =>
    (await clients.client(AuditService).queryAudit({})).records.map(({ action }) => action);
  await waitFor(async () => (await actions())[0]?.endsWith("GetAgent"), { what: "the denied attempt" });
  expect(await actions()).toContain("teams.create");
});

it("decides in microseconds", async () => {
  const { secret } = await here.as(alice).tokens.createToken({ scopes: ["agents:one:read", "sessions:write"] });
  const principal = await here.access.verifyToken(secret, "");
  if (principal === undefined) throw new Error("no principal");
  const rounds = 20_000;
  const start = performance.now();
  for (let i = 0; i < rounds; i += 1) {
    const { granted, agents } = here.access.decide(principal, "agents", "read");
    if (!granted || !agents.has("one")) throw new Error("refused");
  }
  expect(((performance.now() - start) * 1000) / rounds).toBeLessThan(50);
});
