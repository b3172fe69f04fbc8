import { sql } from "@openhermit/postgres";
import { Role } from "@openhermit/protocol/access/v1/subject";
import { waitFor, type TestDatabase } from "@openhermit/testing";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import {
  accessDatabase,
  clearAccess,
  member,
  serviceAccount,
  storeGrant,
  storeMember,
  storeServiceAccount,
  storeTeam,
} from "../test/access-database.ts";
import { auditOf, browser, startAccess, tellAll, type AccessFixture } from "../test/access-fixture.ts";

let store: TestDatabase;
let here: AccessFixture;

const alice = browser(member("alice"));
const owen = browser(member("owen"));

beforeAll(async () => {
  store = await accessDatabase();
  here = await startAccess(store.database);
});
afterAll(async () => {
  await here.stop();
  await store.drop();
});
beforeEach(async () => {
  await clearAccess(store.database);
  await storeMember(store.database, "alice", Role.ADMIN);
  await storeMember(store.database, "owen", Role.OWNER);
  await tellAll(store.database, [here]);
});

it("is made, changed and listed; what changes is audited, and nothing when nothing changes", async () => {
  const { accounts } = here.as(alice);
  const before = (await auditOf(store.database)).length;
  const { serviceAccount: made } = await accounts.createServiceAccount({ serviceAccount: { id: "ci" } });
  expect(made).toMatchObject({
    id: "ci",
    displayName: "ci",
    role: Role.VIEWER,
    disabled: false,
    creator: member("alice"),
  });
  await expect(accounts.createServiceAccount({ serviceAccount: { id: "ci" } })).rejects.toThrow(
    "SERVICE_ACCOUNT_EXISTS",
  );

  const update = (
    serviceAccountMessage: { role?: Role; disabled?: boolean; displayName?: string },
    paths: string[] = [],
  ) => accounts.updateServiceAccount({ serviceAccount: { id: "ci", ...serviceAccountMessage }, updateMask: { paths } });
  expect((await update({ role: Role.OPERATOR })).serviceAccount).toMatchObject({
    role: Role.OPERATOR,
    displayName: "ci",
  });
  await update({ role: Role.OPERATOR });
  expect((await update({ disabled: true })).serviceAccount).toMatchObject({ role: Role.OPERATOR, disabled: true });
  expect((await update({ displayName: "builds" }, ["disabled"])).serviceAccount).toMatchObject({
    displayName: "ci",
    disabled: false,
  });
  await expect(update({}, ["id"])).rejects.toThrow("UPDATE_MASK_INVALID");
  await expect(update({}, ["role"])).rejects.toThrow("REQUEST_INVALID");
  expect((await auditOf(store.database)).slice(before)).toEqual([
    "service-accounts.create service-account/ci",
    ...Array.from({ length: 3 }, () => "service-accounts.update service-account/ci"),
  ]);

  await storeTeam(store.database, "red", [serviceAccount("ci")]);
  await accounts.createServiceAccount({ serviceAccount: { id: "cd" } });
  const first = await accounts.listServiceAccounts({ pageSize: 1 });
  const second = await accounts.listServiceAccounts({ pageSize: 1, pageToken: first.nextPageToken });
  expect([...first.serviceAccounts, ...second.serviceAccounts].map(({ id, teamIds }) => [id, teamIds])).toEqual([
    ["cd", []],
    ["ci", ["red"]],
  ]);
  await expect(accounts.getServiceAccount({ serviceAccountId: "none" })).rejects.toThrow("SERVICE_ACCOUNT_NOT_FOUND");
});

it("gets no role above that of who makes or changes it", async () => {
  const { accounts } = here.as(alice);
  const make = (id: string, role: Role) => accounts.createServiceAccount({ serviceAccount: { id, role } });
  await expect(make("root", Role.OWNER)).rejects.toThrow("RIGHT_MISSING");
  await make("ci", Role.ADMIN);
  const raise = accounts.updateServiceAccount({ serviceAccount: { id: "ci", role: Role.OWNER } });
  await expect(raise).rejects.toThrow("RIGHT_MISSING");

  await here.as(owen).accounts.createServiceAccount({ serviceAccount: { id: "root", role: Role.OWNER } });
  const lower = accounts.updateServiceAccount({ serviceAccount: { id: "root", role: Role.VIEWER } });
  await expect(lower).rejects.toThrow("RIGHT_MISSING");
  await expect(accounts.deleteServiceAccount({ serviceAccountId: "root" })).rejects.toThrow("RIGHT_MISSING");
});

it("takes its tokens, grants and memberships along when it goes, and its tokens sleep while it is disabled", async () => {
  await storeServiceAccount(store.database, "ci", Role.ADMIN);
  await storeTeam(store.database, "red", [serviceAccount("ci")]);
  await storeGrant(store.database, serviceAccount("ci"), "two", Role.OPERATOR);
  await tellAll(store.database, [here]);
  const { accounts, tokens } = here.as(alice);
  const { secret, token } = await tokens.createToken({
    serviceAccountId: "ci",
    scopes: ["agents:read", "tokens:write"],
  });
  const works = async (text = secret): Promise<boolean> => (await here.access.verifyToken(text, "")) !== undefined;
  const principal = await here.access.verifyToken(secret, "");
  if (principal === undefined) throw new Error("no principal");
  const child = await here.as(principal).tokens.createToken({ scopes: ["agents:read"] });

  const disable = (disabled: boolean) =>
    accounts.updateServiceAccount({ serviceAccount: { id: "ci", disabled }, updateMask: { paths: ["disabled"] } });
  await disable(true);
  expect([await works(), here.access.isCurrent(principal)]).toEqual([false, false]);
  await disable(false);
  expect([await works(), here.access.isCurrent(principal)]).toEqual([true, true]);

  await accounts.deleteServiceAccount({ serviceAccountId: "ci" });
  expect([await works(), await works(child.secret), here.access.isCurrent(principal)]).toEqual([false, false, false]);
  const { rows } = await store.database.query(sql`
    SELECT 1 FROM access.grants UNION ALL SELECT 1 FROM access.team_members
    UNION ALL SELECT 1 FROM access.tokens WHERE revoke_time IS NULL`);
  expect(rows).toEqual([]);
  expect(await auditOf(store.database)).toEqual(
    expect.arrayContaining(["service-accounts.delete service-account/ci", `tokens.revoke token/${token?.accessor}`]),
  );

  // The next of that id does not wake them.
  await accounts.createServiceAccount({ serviceAccount: { id: "ci", role: Role.ADMIN } });
  await waitFor(() => here.access.decide({ ...principal, creator: principal.subject }, "agents", "read").granted, {
    what: "the new account",
  });
  expect([await works(), here.access.isCurrent(principal)]).toEqual([false, false]);
});
