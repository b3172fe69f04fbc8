import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { createClient } from "@connectrpc/connect";
import { readConfig, startGateway, type Gateway } from "@openhermit/gateway";
import { LoginService } from "@openhermit/protocol/access/v1/login_service";
import { MemberState } from "@openhermit/protocol/access/v1/member";
import { MemberService } from "@openhermit/protocol/access/v1/member_service";
import { Role } from "@openhermit/protocol/access/v1/subject";
import { temporaryDirectory, testDatabase, testLog, type TestDatabase } from "@openhermit/testing";
import { afterEach, beforeEach, expect, test } from "vitest";

import { addMember, enter, PASSWORD } from "../../fixture/people.ts";
import { outcomeOf } from "../failure.ts";
import { createSurfaces, type Surfaces } from "../surfaces.ts";

let database: TestDatabase;
let home: Awaited<ReturnType<typeof temporaryDirectory>>;
let gateway: Gateway;
let surfaces: Surfaces;
let operatorToken: string;

beforeEach(async () => {
  [database, home] = await Promise.all([testDatabase([]), temporaryDirectory()]);
  gateway = await startGateway(
    readConfig({
      OPENHERMIT_HOME: home.path,
      OPENHERMIT_LISTEN: "127.0.0.1:0",
      OPENHERMIT_DATABASE_URL: database.url,
    }),
    testLog(),
  );
  await gateway.ready;
  surfaces = createSurfaces(gateway.url);
  operatorToken = (await readFile(join(home.path, "operator-token"), "utf8")).trim();
});
afterEach(async () => {
  surfaces.close();
  await gateway.stop(0);
  await database.drop();
  await home.remove();
});

const as = (token?: string) =>
  surfaces.transport("Connect", token === undefined ? {} : { authorization: `Bearer ${token}` });

test("setup race: of 50 clients with the code at once exactly one becomes the owner", async () => {
  const operator = createClient(LoginService, as(operatorToken));
  const { url } = await operator.createSetupCode({});
  const code = new URL(url).searchParams.get("code") ?? "";
  const outcomes = await Promise.all(
    Array.from({ length: 50 }, (_, i) =>
      outcomeOf(createClient(LoginService, as()).claimOwnership({ code, memberId: `owner-${i}`, password: PASSWORD })),
    ),
  );
  expect(outcomes.filter((one) => one === "ok")).toHaveLength(1);
  const { members } = await createClient(MemberService, as(operatorToken)).listMembers({});
  expect(members.map(({ role }) => role)).toEqual([Role.OWNER]);
  expect(members[0]?.id).toBe(`owner-${outcomes.indexOf("ok")}`);
  expect(await outcomeOf(operator.createSetupCode({}))).toBe("FailedPrecondition OWNER_EXISTS");
});

test("the last owner stays, also when two owners demote each other at once", async () => {
  const operator = as(operatorToken);
  const logins = createClient(LoginService, operator);
  const code = new URL((await logins.createSetupCode({})).url).searchParams.get("code") ?? "";
  await logins.claimOwnership({ code, memberId: "ann", password: PASSWORD });
  await addMember(operator, "bob", Role.OWNER);
  for (let round = 0; round < 5; round += 1) {
    const members = createClient(MemberService, operator);
    for (const id of ["ann", "bob"]) await members.updateMember({ member: { id, role: Role.OWNER } });
    const [ann, bob] = await Promise.all([enter(gateway.url, as(), "ann"), enter(gateway.url, as(), "bob")]);
    const outcomes = await Promise.all([
      outcomeOf(createClient(MemberService, as(ann.token)).updateMember({ member: { id: "bob", role: Role.VIEWER } })),
      outcomeOf(createClient(MemberService, as(bob.token)).updateMember({ member: { id: "ann", role: Role.VIEWER } })),
    ]);
    expect(outcomes.filter((one) => one === "ok").length).toBeLessThanOrEqual(1);
    const owners = (await members.listMembers({})).members.filter(({ role }) => role === Role.OWNER);
    expect(owners.length).toBeGreaterThanOrEqual(1);
    if (owners.length === 1) {
      const last = owners[0]?.id ?? "";
      for (const call of [
        () => members.updateMember({ member: { id: last, role: Role.ADMIN } }),
        () => members.updateMember({ member: { id: last, state: MemberState.DISABLED } }),
        () => members.removeMember({ memberId: last }),
      ]) {
        expect(await outcomeOf(call())).toBe("FailedPrecondition OWNER_LAST");
      }
    }
  }
});
