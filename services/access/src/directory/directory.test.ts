import type { Database, DatabaseStatus } from "@openhermit/postgres";
import { MemberState } from "@openhermit/protocol/access/v1/member";
import { Role } from "@openhermit/protocol/access/v1/subject";
import { testLog, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import {
  accessDatabase,
  clearAccess,
  LOCAL_OPERATOR,
  member,
  serviceAccount,
  storeGrant,
  storeMember,
  storeServiceAccount,
  storeTeam,
  team,
} from "../test/access-database.ts";
import { createDirectory, type Directory } from "./directory.ts";

let store: TestDatabase;
let directory: Directory;
let ready: boolean;
let watcher: (status: DatabaseStatus) => void;
let time: number;

beforeAll(async () => {
  store = await accessDatabase();
});
afterAll(() => store.drop());
beforeEach(async () => {
  await clearAccess(store.database);
  ready = true;
  time = 1000;
  const status = (): DatabaseStatus => ({ ready, since: new Date(), detail: "" });
  // The real database, whose connection seems to come and go.
  const database: Database = {
    ...store.database,
    status,
    onStatus(callback) {
      watcher = callback;
      return () => undefined;
    },
    transaction: (work) => (ready ? store.database.transaction(work) : Promise.reject(new Error("away"))),
  };
  directory = createDirectory({ database, log: testLog(), now: () => time });
});
afterEach(() => directory.close());

const become = (isReady: boolean): void => {
  ready = isReady;
  watcher({ ready, since: new Date(), detail: "" });
};

it("knows who holds what, with no statement for a look", async () => {
  await storeMember(store.database, "alice", Role.ADMIN);
  await storeMember(store.database, "ivan", Role.OWNER, MemberState.INVITED);
  await storeMember(store.database, "dora", Role.OWNER, MemberState.DISABLED);
  await storeServiceAccount(store.database, "ci", Role.OPERATOR);
  await storeServiceAccount(store.database, "off", Role.OPERATOR, true);
  await storeTeam(store.database, "red", [member("alice"), serviceAccount("ci")]);
  await storeGrant(store.database, member("alice"), "one", Role.VIEWER);
  await storeGrant(store.database, team("red"), "one", Role.OPERATOR);
  await storeGrant(store.database, team("gone"), "two", Role.OPERATOR);
  expect(directory.isReliable()).toBe(false);
  await directory.refresh();
  const before = store.database.statementCount();
  expect(directory.isReliable()).toBe(true);
  expect([LOCAL_OPERATOR, member("alice"), serviceAccount("ci")].map(directory.roleOf)).toEqual([
    Role.OWNER,
    Role.ADMIN,
    Role.OPERATOR,
  ]);
  for (const nobody of [member("ivan"), member("dora"), serviceAccount("off"), member("ci"), team("red")]) {
    expect(directory.roleOf(nobody)).toBe(Role.UNSPECIFIED);
  }
  expect(directory.member("ivan")).toMatchObject({ role: Role.OWNER, state: MemberState.INVITED });
  expect([...directory.teamsOf(serviceAccount("ci"))]).toEqual(["red"]);
  expect([directory.isTeam("red"), directory.isTeam("gone")]).toEqual([true, false]);
  expect(directory.grantRole(member("alice"), "one")).toBe(Role.OPERATOR);
  expect(directory.grantRole(member("alice"), "two")).toBe(Role.UNSPECIFIED);
  expect(directory.highestGrant(serviceAccount("ci"))).toBe(Role.OPERATOR);
  expect(store.database.statementCount()).toBe(before);
});

it("calls back for what changed, and not for a reading that found the same", async () => {
  await directory.refresh();
  let changes = 0;
  directory.onChanged(() => (changes += 1));
  await directory.refresh();
  expect(changes).toBe(0);
  await storeMember(store.database, "alice", Role.VIEWER);
  directory.poke();
  await waitFor(() => changes === 1, { what: "the change" });
  expect(directory.roleOf(member("alice"))).toBe(Role.VIEWER);
});

it("is not to be trusted when notices were lost for more than 5 s, and is again once it was read", async () => {
  await directory.refresh();
  become(false);
  time += 4_999;
  expect(directory.isReliable()).toBe(true);
  time += 1;
  expect(directory.isReliable()).toBe(false);
  await expect(directory.refresh()).rejects.toThrow("away");
  expect(directory.isReliable()).toBe(false);
  become(true);
  await directory.refresh();
  expect(directory.isReliable()).toBe(true);
});

it("is not to be trusted when what was announced could not be read for 5 s", async () => {
  await directory.refresh();
  ready = false;
  directory.poke();
  time += 5_001;
  expect(directory.isReliable()).toBe(false);
  ready = true;
  await directory.refresh();
  expect(directory.isReliable()).toBe(true);
});
