import { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { waitFor, type TestDatabase } from "@openhermit/testing";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import {
  accessDatabase,
  clearAccess,
  member,
  serviceAccount,
  storeMember,
  storeServiceAccount,
  storeTeam,
  team,
} from "../test/access-database.ts";
import { auditOf, browser, startAccess, tellAll, type AccessFixture } from "../test/access-fixture.ts";

let store: TestDatabase;
let here: AccessFixture;
let there: AccessFixture;

const alice = browser(member("alice"));
const bob = browser(member("bob"));

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
  await storeMember(store.database, "bob", Role.VIEWER);
  await storeServiceAccount(store.database, "ci", Role.VIEWER);
  await storeTeam(store.database, "green", [serviceAccount("ci")]);
  await tellAll(store.database, [here, there]);
});

it("opens one agent at once, here and there, and closes it again", async () => {
  const { grants } = here.as(alice);
  const before = (await auditOf(store.database)).length;
  const reach = ({ access }: AccessFixture): string[] => access.decide(bob, "sessions", "write").agents.ids();
  const { grant } = await grants.putGrant({ grant: { agentId: "two", subject: member("bob"), role: Role.OPERATOR } });
  expect(grant).toMatchObject({
    agentId: "two",
    subject: member("bob"),
    role: Role.OPERATOR,
    creator: member("alice"),
  });
  expect(reach(here)).toEqual(["two"]);
  await waitFor(() => reach(there).length === 1, { what: "the grant there", deadlineMs: 1000 });
  await grants.putGrant({ grant: { agentId: "two", subject: member("bob"), role: Role.OPERATOR } });

  await grants.putGrant({ grant: { agentId: "two", subject: member("bob"), role: Role.VIEWER } });
  expect(reach(here)).toEqual([]);
  expect(here.access.decide(bob, "sessions", "read").agents.has("two")).toBe(true);
  await grants.deleteGrant({ agentId: "two", subject: member("bob") });
  expect(here.access.decide(bob, "sessions", "read").agents.has("two")).toBe(false);
  await expect(grants.deleteGrant({ agentId: "two", subject: member("bob") })).rejects.toThrow("GRANT_NOT_FOUND");
  expect((await auditOf(store.database)).slice(before)).toEqual([
    "grants.put grant/two/member:bob",
    "grants.put grant/two/member:bob",
    "grants.delete grant/two/member:bob",
  ]);
});

it("ends with its agent: here before the next call, there soon, and not when the agent stays after all", async () => {
  const { grants } = here.as(alice);
  for (const agentId of ["one", "two"]) {
    for (const subject of [team("green"), member("bob")]) {
      await grants.putGrant({ grant: { agentId, subject, role: Role.OPERATOR } });
    }
  }
  const ci = browser(serviceAccount("ci"));
  const reach = ({ access }: AccessFixture, agentId: string): boolean[] =>
    [bob, ci].map((who) => access.decide(who, "sessions", "write").agents.has(agentId));
  const both = (agentId: string) => [...reach(here, agentId), ...reach(there, agentId)];
  await waitFor(() => both("two").every(Boolean), { what: "the grants on both gateways" });
  const before = (await auditOf(store.database)).length;

  const undone = store.database.transaction(async (tx) => {
    await here.access.forgetAgents(tx, ["one"]);
    throw new Error("changed my mind");
  });
  await expect(undone).rejects.toThrow("changed my mind");
  await tellAll(store.database, [here, there]);
  expect(both("one")).toEqual([true, true, true, true]);

  const statements = store.database.statementCount();
  await store.database.transaction((tx) => here.access.forgetAgents(tx, ["two", "one", "none"]));
  expect([...reach(here, "one"), ...reach(here, "two")]).toEqual([false, false, false, false]);
  expect(here.access.decide(bob, "sessions", "write").granted).toBe(false);
  // BEGIN, the lock, the grants, their records, their announcement, COMMIT, and at most two readings of the directory.
  expect(store.database.statementCount() - statements).toBeLessThanOrEqual(10);
  await waitFor(() => !both("one").some(Boolean) && !both("two").some(Boolean), { what: "the end there" });
  expect((await auditOf(store.database)).slice(before).toSorted()).toEqual([
    "grants.delete grant/one/member:bob",
    "grants.delete grant/one/team:green",
    "grants.delete grant/two/member:bob",
    "grants.delete grant/two/team:green",
  ]);
  // A grant that comes later counts.
  await grants.putGrant({ grant: { agentId: "two", subject: member("bob"), role: Role.OPERATOR } });
  expect(reach(here, "two")).toEqual([true, false]);
});

it("is held by a member, a service account or a team that exists", async () => {
  const { grants } = here.as(alice);
  const put = (subject: { kind: SubjectKind; id: string }) =>
    grants.putGrant({ grant: { agentId: "two", subject, role: Role.VIEWER } });
  await put(team("green"));
  const ci = browser(serviceAccount("ci"));
  expect(here.access.decide(ci, "agents", "read").agents.has("two")).toBe(true);
  await expect(put(team("none"))).rejects.toThrow("TEAM_NOT_FOUND");
  await expect(put(member("none"))).rejects.toThrow("MEMBER_NOT_FOUND");
  await expect(put(serviceAccount("none"))).rejects.toThrow("SERVICE_ACCOUNT_NOT_FOUND");
  await expect(put({ kind: SubjectKind.SYSTEM, id: "x" })).rejects.toThrow("SUBJECT_INVALID");
});

it("is listed by agent and by subject, in pages", async () => {
  const { grants } = here.as(alice);
  for (const agentId of ["two", "one"]) {
    for (const subject of [team("green"), member("bob"), serviceAccount("ci")]) {
      await grants.putGrant({ grant: { agentId, subject, role: Role.VIEWER } });
    }
  }
  const all: string[] = [];
  let pageToken = "";
  do {
    const page = await grants.listGrants({ pageSize: 2, pageToken });
    all.push(...page.grants.map(({ agentId, subject }) => `${agentId} ${subject?.id}`));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  expect(all).toEqual(["one bob", "one ci", "one green", "two bob", "two ci", "two green"]);
  const of = async (filter: { agentId?: string; subject?: { kind: SubjectKind; id: string } }): Promise<number> =>
    (await grants.listGrants(filter)).grants.length;
  expect([
    await of({ agentId: "one" }),
    await of({ subject: member("bob") }),
    await of({ subject: team("") }),
    await of({ agentId: "one", subject: member("none") }),
  ]).toEqual([3, 2, 2, 0]);
  await expect(grants.listGrants({ pageToken: "nonsense" })).rejects.toThrow("PAGE_TOKEN_INVALID");
});
