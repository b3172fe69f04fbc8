import { sql } from "@openhermit/postgres";
import { MemberState } from "@openhermit/protocol/access/v1/member";
import { Role } from "@openhermit/protocol/access/v1/subject";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  member,
  serviceAccount,
  storeGrant,
  storeMember,
  storeServiceAccount,
  storeTeam,
} from "../test/access-database.ts";
import {
  claimAs,
  from,
  memberOf,
  openLogins,
  operator,
  principalOf,
  reasonOf,
  type OpenLogins,
} from "../login/test/open-logins.ts";

let open: OpenLogins;
beforeAll(async () => {
  open = await openLogins();
});
afterAll(() => open.close());
beforeEach(async () => {
  await open.clear();
  const { database } = open.store;
  await storeMember(database, "olga", Role.OWNER);
  await storeMember(database, "adam", Role.ADMIN);
  await storeMember(database, "vera", Role.VIEWER);
  await open.directory.refresh();
});

const as = (id: string) => open.as(principalOf(member(id))).members;
const setRole = (by: string, id: string, role: Role) => as(by).updateMember({ member: memberOf({ id, role }) });
const roleOf = (id: string): Role => open.directory.roleOf(member(id));

describe("rank", () => {
  it("lets nobody give a role above the own, nor raise oneself", async () => {
    expect(await reasonOf(setRole("adam", "vera", Role.OWNER))).toBe("RIGHT_MISSING");
    expect(await reasonOf(setRole("adam", "adam", Role.OWNER))).toBe("RIGHT_MISSING");
    expect(await reasonOf(as("adam").inviteMember({ memberId: "new", role: Role.OWNER }))).toBe("RIGHT_MISSING");
    // The gate refuses a viewer; so does the domain.
    expect(await reasonOf(setRole("vera", "vera", Role.ADMIN))).toBe("RIGHT_MISSING");
    expect(await reasonOf(as("vera").inviteMember({ memberId: "new" }))).toBe("RIGHT_MISSING");
    await setRole("adam", "vera", Role.ADMIN);
    expect(roleOf("vera")).toBe(Role.ADMIN);
    expect(open.audited).toEqual(["adam members.update vera"]);
  });

  it("leaves owners to owners and to the local operator", async () => {
    await storeMember(open.store.database, "oscar", Role.OWNER);
    const adam = as("adam");
    expect(await reasonOf(setRole("adam", "olga", Role.VIEWER))).toBe("RIGHT_MISSING");
    expect(await reasonOf(adam.updateMember({ member: memberOf({ id: "olga", displayName: "X" }) }))).toBe(
      "RIGHT_MISSING",
    );
    expect(await reasonOf(adam.renewInvite({ memberId: "olga" }))).toBe("RIGHT_MISSING");
    expect(await reasonOf(adam.removeMember({ memberId: "olga" }))).toBe("RIGHT_MISSING");
    await setRole("olga", "oscar", Role.ADMIN);
    expect(roleOf("oscar")).toBe(Role.ADMIN);
    await open.as(operator).members.updateMember({ member: memberOf({ id: "vera", role: Role.OWNER }) });
    expect(roleOf("vera")).toBe(Role.OWNER);
  });

  it("is never above the one who made the token", async () => {
    await storeServiceAccount(open.store.database, "robot", Role.OWNER);
    const robot = open.as(principalOf(serviceAccount("robot"), member("adam"))).members;
    expect(await reasonOf(robot.updateMember({ member: memberOf({ id: "adam", role: Role.OWNER }) }))).toBe(
      "RIGHT_MISSING",
    );
    await robot.updateMember({ member: memberOf({ id: "vera", role: Role.OPERATOR }) });
    expect(roleOf("vera")).toBe(Role.OPERATOR);
  });
});

describe("the last owner", () => {
  it("stays when two demote each other at once", async () => {
    for (let round = 0; round < 10; round += 1) {
      await storeMember(open.store.database, "oscar", Role.OWNER);
      await storeMember(open.store.database, "olga", Role.OWNER);
      const reasons = await Promise.all([
        reasonOf(setRole("olga", "oscar", Role.VIEWER)),
        reasonOf(setRole("oscar", "olga", Role.VIEWER)),
      ]);
      expect(reasons.toSorted()).toEqual(["RIGHT_MISSING", "none"]);
      expect(new Set([roleOf("olga"), roleOf("oscar")])).toEqual(new Set([Role.VIEWER, Role.OWNER]));
    }
  });

  it("stays when both are demoted, disabled or removed at once by the local operator", async () => {
    const { members } = open.as(operator);
    const ways = [
      (id: string) => members.updateMember({ member: memberOf({ id, role: Role.ADMIN }) }),
      (id: string) => members.updateMember({ member: memberOf({ id, state: MemberState.DISABLED }) }),
      (id: string) => members.removeMember({ memberId: id }),
    ];
    for (const way of ways) {
      await storeMember(open.store.database, "oscar", Role.OWNER);
      await storeMember(open.store.database, "olga", Role.OWNER);
      const reasons = await Promise.all(["oscar", "olga"].map((id) => reasonOf(way(id))));
      expect(reasons.toSorted()).toEqual(["OWNER_LAST", "none"]);
    }
  });

  it("is not an owner who is disabled or has not come", async () => {
    await storeMember(open.store.database, "oscar", Role.OWNER, MemberState.DISABLED);
    await as("olga").inviteMember({ memberId: "otto", role: Role.OWNER });
    expect(await reasonOf(setRole("olga", "olga", Role.ADMIN))).toBe("OWNER_LAST");
    expect(await reasonOf(as("olga").removeMember({ memberId: "olga" }))).toBe("OWNER_LAST");
    await as("olga").updateMember({ member: memberOf({ id: "olga", displayName: "Olga", role: Role.OWNER }) });
  });
});

describe("InviteMember", () => {
  it("adds a member to its teams, with a link for a week", async () => {
    await storeTeam(open.store.database, "red");
    const answer = await as("adam").inviteMember({ memberId: "nina", displayName: " Nina ", teamIds: ["red"] });
    expect(answer.inviteUrl).toMatch(/^https:\/\/mesh\.example\/invite\?code=[\w-]{43}$/);
    expect(answer.member).toMatchObject({
      id: "nina",
      displayName: "Nina",
      role: Role.VIEWER,
      state: MemberState.INVITED,
      teamIds: ["red"],
      external: false,
    });
    expect(answer.member?.inviteExpireTime).toEqual(answer.expireTime);
    expect(open.directory.teamsOf(member("nina"))).toEqual(new Set(["red"]));
    expect(roleOf("nina")).toBe(Role.UNSPECIFIED);
    expect(open.audited).toEqual(["adam members.invite nina"]);
  });

  it("refuses what exists, and a team that does not, and leaves nothing behind", async () => {
    expect(await reasonOf(as("adam").inviteMember({ memberId: "vera" }))).toBe("MEMBER_EXISTS");
    expect(await reasonOf(as("adam").inviteMember({ memberId: "new", teamIds: ["none"] }))).toBe("TEAM_NOT_FOUND");
    expect(await reasonOf(as("adam").getMember({ memberId: "new" }))).toBe("MEMBER_NOT_FOUND");
    expect(open.audited).toEqual([]);
  });
});

describe("UpdateMember", () => {
  it("changes what the mask names, and says nothing when nothing changes", async () => {
    const adam = as("adam");
    const wanted = memberOf({ id: "vera", displayName: "Vera", role: Role.OPERATOR });
    await adam.updateMember({ member: wanted, updateMask: { paths: ["display_name"] } });
    expect((await adam.getMember({ memberId: "vera" })).member).toMatchObject({
      displayName: "Vera",
      role: Role.VIEWER,
    });
    await adam.updateMember({ member: wanted });
    await adam.updateMember({ member: wanted });
    expect(open.audited).toHaveLength(2);
    await adam.updateMember({ member: memberOf({ id: "vera" }), updateMask: { paths: ["display_name"] } });
    expect((await adam.getMember({ memberId: "vera" })).member).toMatchObject({ displayName: "vera" });
    const wrong = (paths: string[]) =>
      reasonOf(adam.updateMember({ member: memberOf({ id: "vera" }), updateMask: { paths } }));
    expect(await wrong(["id"])).toBe("UPDATE_MASK_INVALID");
    expect(await wrong(["role"])).toBe("REQUEST_INVALID");
    expect(await reasonOf(adam.updateMember({ member: memberOf({ id: "none", role: Role.ADMIN }) }))).toBe(
      "MEMBER_NOT_FOUND",
    );
  });

  it("can't make somebody active who never came, and invites who was disabled before", async () => {
    const adam = as("adam");
    await adam.inviteMember({ memberId: "nina" });
    const set = (state: MemberState) => adam.updateMember({ member: memberOf({ id: "nina", state }) });
    expect(await reasonOf(set(MemberState.ACTIVE))).toBe("MEMBER_STATE_INVALID");
    await set(MemberState.DISABLED);
    expect(await reasonOf(adam.renewInvite({ memberId: "nina" }))).toBe("MEMBER_DISABLED");
    expect((await set(MemberState.ACTIVE)).member?.state).toBe(MemberState.INVITED);
    expect(await reasonOf(adam.updateMember({ member: memberOf({ id: "vera", state: MemberState.INVITED }) }))).toBe(
      "MEMBER_STATE_INVALID",
    );
  });
});

describe("RemoveMember", () => {
  it("removes all that the member had, so that the next one of that name has nothing", async () => {
    const { database } = open.store;
    await database.query(sql`DELETE FROM access.members WHERE id = 'olga'`);
    const { session } = await claimAs(open.logins, "eve");
    await storeMember(database, "olga", Role.OWNER);
    await storeTeam(database, "red", [member("eve")]);
    await storeGrant(database, member("eve"), "one", Role.OPERATOR);
    const { inviteUrl } = await as("olga").renewInvite({ memberId: "eve" });
    const challenge = "c".repeat(43);
    await open.logins.createTokenCode(session.principal, challenge, "laptop");
    await database.query(sql`
      INSERT INTO access.tokens (accessor, hash, name, subject_kind, subject_id, creator_kind, creator_id,
        parent_accessor, scopes, login, expire_time)
      VALUES ('acc_1', '1', '', 3, 'robot', 2, 'eve', '', '{agents:read}', false, now() + interval '1 day'),
        ('acc_2', '2', '', 2, 'eve', 2, 'eve', '', '{}', true, now() + interval '1 day'),
        ('acc_3', '3', '', 2, 'olga', 2, 'olga', '', '{}', true, now() + interval '1 day')`);

    await as("olga").removeMember({ memberId: "eve" });

    expect(await open.domain.sessions.verify(session.secret)).toBeUndefined();
    const code = new URL(inviteUrl).searchParams.get("code") ?? "";
    expect(await reasonOf(open.logins.readInvite(code))).toBe("CODE_INVALID");
    const { rows } = await database.query<{ left: string }>(sql`
      SELECT 'member' AS left FROM access.members WHERE id = 'eve'
      UNION ALL SELECT 'team' FROM access.team_members WHERE subject_id = 'eve'
      UNION ALL SELECT 'grant' FROM access.grants WHERE subject_id = 'eve'
      UNION ALL SELECT 'session' FROM access.sessions WHERE subject_id = 'eve'
      UNION ALL SELECT 'code' FROM access.one_time_codes WHERE member_id = 'eve'
      UNION ALL SELECT 'address' FROM access.known_addresses WHERE member_id = 'eve'
      UNION ALL SELECT accessor FROM access.tokens WHERE revoke_time IS NULL`);
    expect(rows).toEqual([{ left: "acc_3" }]);
    expect(open.audited.at(-1)).toBe("olga members.remove eve");
    expect(await reasonOf(open.logins.logIn({ memberId: "eve", password: "correct horse battery" }, from()))).toBe(
      "LOGIN_FAILED",
    );
    expect(await reasonOf(as("olga").removeMember({ memberId: "eve" }))).toBe("MEMBER_NOT_FOUND");
  });
});

describe("ListMembers", () => {
  it("pages through all, ordered by id", async () => {
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await as("adam").listMembers({ pageSize: 2, pageToken });
      expect(page.members.length).toBeLessThanOrEqual(2);
      seen.push(...page.members.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(seen).toEqual(["adam", "olga", "vera"]);
    expect(await reasonOf(as("adam").listMembers({ pageToken: "bogus" }))).toBe("PAGE_TOKEN_INVALID");
  });
});
