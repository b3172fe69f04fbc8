import { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { waitFor, type TestDatabase } from "@openhermit/testing";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { Principal } from "../principal.ts";
import {
  accessDatabase,
  clearAccess,
  member,
  serviceAccount,
  storeGrant,
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
  await storeMember(store.database, "bob", Role.OPERATOR);
  await storeServiceAccount(store.database, "ci", Role.OPERATOR);
  await tellAll(store.database, [here, there]);
});

const names = async (who: Principal): Promise<string[]> =>
  (await here.as(who).teams.listTeams({})).teams.map(({ id }) => id);

it("is made, filled and emptied; each change counts at once, here and there, and is audited", async () => {
  const { teams } = here.as(alice);
  const before = (await auditOf(store.database)).length;
  const { team: made } = await teams.createTeam({ team: { id: "red" } });
  expect(made).toMatchObject({ id: "red", displayName: "red", members: [], agentCount: 1 });
  await expect(teams.createTeam({ team: { id: "red" } })).rejects.toThrow("TEAM_EXISTS");

  await teams.addTeamMember({ teamId: "red", subject: serviceAccount("ci") });
  const { team: filled } = await teams.addTeamMember({ teamId: "red", subject: member("bob") });
  expect(filled?.members).toMatchObject([member("bob"), serviceAccount("ci")]);
  expect(here.access.mayOwnFor(bob, "red")).toBe(true);
  expect(here.access.decide(bob, "agents", "write").agents.ids()).toEqual(["free", "one"]);
  await waitFor(() => there.access.mayOwnFor(bob, "red"), { what: "the membership there", deadlineMs: 1000 });
  await teams.addTeamMember({ teamId: "red", subject: member("bob") });

  const { team: left } = await teams.removeTeamMember({ teamId: "red", subject: member("bob") });
  expect(left?.members).toMatchObject([serviceAccount("ci")]);
  expect(here.access.decide(bob, "agents", "write").agents.ids()).toEqual(["free"]);
  await waitFor(() => !there.access.mayOwnFor(bob, "red"), { what: "the end of it there", deadlineMs: 1000 });
  await teams.removeTeamMember({ teamId: "red", subject: member("bob") });
  expect((await auditOf(store.database)).slice(before)).toEqual([
    "teams.create team/red",
    "teams.add-member team/red",
    "teams.add-member team/red",
    "teams.remove-member team/red",
  ]);
});

it("takes nobody who does not exist, nor a team", async () => {
  await storeTeam(store.database, "red");
  await tellAll(store.database, [here]);
  const { teams } = here.as(alice);
  const add = (teamId: string, subject: { kind: SubjectKind; id: string }) => teams.addTeamMember({ teamId, subject });
  await expect(add("red", member("nobody"))).rejects.toThrow("MEMBER_NOT_FOUND");
  await expect(add("red", serviceAccount("nobody"))).rejects.toThrow("SERVICE_ACCOUNT_NOT_FOUND");
  await expect(add("red", team("red"))).rejects.toThrow("SUBJECT_INVALID");
  await expect(add("red", { kind: SubjectKind.LOCAL_OPERATOR, id: "" })).rejects.toThrow("SUBJECT_INVALID");
  await expect(add("none", member("bob"))).rejects.toThrow("TEAM_NOT_FOUND");
});

it("is seen by its members and by admins; for others it does not exist", async () => {
  await storeTeam(store.database, "red", [member("bob")]);
  await storeTeam(store.database, "blue");
  await tellAll(store.database, [here]);
  expect([await names(alice), await names(bob)]).toEqual([["blue", "red"], ["red"]]);
  const words = async (teamId: string): Promise<string> =>
    String(
      await here
        .as(bob)
        .teams.getTeam({ teamId })
        .catch((error: unknown) => error),
    ).replace(teamId, "X");
  expect(await words("blue")).toContain("TEAM_NOT_FOUND");
  expect(await words("blue")).toBe(await words("none"));
  expect((await here.as(bob).teams.getTeam({ teamId: "red" })).team?.members).toMatchObject([member("bob")]);

  const { teams, nextPageToken } = await here.as(alice).teams.listTeams({ pageSize: 1 });
  const { teams: rest } = await here.as(alice).teams.listTeams({ pageSize: 1, pageToken: nextPageToken });
  expect([...teams, ...rest].map(({ id }) => id)).toEqual(["blue", "red"]);
});

it("stays while it owns agents, and goes with its grants", async () => {
  await storeTeam(store.database, "red", [member("bob")]);
  await storeGrant(store.database, team("red"), "two", Role.OPERATOR);
  await tellAll(store.database, [here]);
  const { teams, grants } = here.as(alice);
  expect(here.access.decide(bob, "agents", "write").agents.has("two")).toBe(true);
  await expect(teams.deleteTeam({ teamId: "red" })).rejects.toThrow(/TEAM_OWNS_AGENTS.*1 agent/);
  here.agents.set("one", "");
  await teams.deleteTeam({ teamId: "red" });
  here.agents.set("one", "red");
  expect(here.access.isTeam("red")).toBe(false);
  expect(here.access.decide(bob, "agents", "write").agents.has("two")).toBe(false);
  expect((await grants.listGrants({})).grants).toEqual([]);
  await expect(teams.deleteTeam({ teamId: "red" })).rejects.toThrow("TEAM_NOT_FOUND");
});

it("is changed by who is admin at that moment: memory may be a moment old", async () => {
  await storeMember(store.database, "alice", Role.OPERATOR);
  expect(here.access.decide(alice, "teams", "write").granted).toBe(true);
  await expect(here.as(alice).teams.createTeam({ team: { id: "red" } })).rejects.toThrow("RIGHT_MISSING");
});
