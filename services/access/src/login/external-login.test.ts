import { MemberState } from "@openhermit/protocol/access/v1/member";
import { Role } from "@openhermit/protocol/access/v1/subject";
import { afterAll, beforeAll, beforeEach, describe, expect, it, test } from "vitest";
import type { ExternalIdentity, NewSession } from "../access-ports.ts";
import { member, storeMember } from "../test/access-database.ts";
import { memberIdFrom } from "./external-login.ts";
import {
  claimAs,
  codeIn,
  from,
  memberOf,
  openLogins,
  operator,
  PASSWORD,
  reasonOf,
  type OpenLogins,
} from "./test/open-logins.ts";

test.each([
  ["alice", "alice"],
  ["Zoë.Smith@example.com", "zoe-smith"],
  ["  Bob  Müller ", "bob-muller"],
  ["42", "member-42"],
  ["@example.com", "member"],
  ["王", "member"],
  ["__proto__", "proto"],
  ["../../etc/passwd", "etc-passwd"],
  ["x".repeat(200), "x".repeat(56)],
  ["", "member"],
])("%j logs in as %s", (name, id) => expect(memberIdFrom(name)).toBe(id));

describe("a login with a provider of identities", () => {
  let open: OpenLogins;
  beforeAll(async () => {
    open = await openLogins();
  });
  afterAll(() => open.close());
  beforeEach(() => open.clear());

  const logIn = (identity: Partial<ExternalIdentity> = {}): Promise<NewSession> =>
    open.logins.logInExternally(
      {
        issuer: "https://id.example",
        subject: "1",
        preferredName: "alice",
        displayName: "Alice",
        role: Role.OPERATOR,
        ...identity,
      },
      from(),
    );
  const idOf = async (session: Promise<NewSession>): Promise<string> => (await session).principal.subject.id;

  it("makes the member once, and knows it by issuer and subject alone", async () => {
    expect(await idOf(logIn())).toBe("alice");
    expect(await idOf(logIn({ preferredName: "renamed", displayName: "Somebody" }))).toBe("alice");
    expect(await idOf(logIn({ subject: "2" }))).toBe("alice-2");
    expect(await idOf(logIn({ issuer: "https://evil.example" }))).toBe("alice-3");
    expect(await idOf(logIn({ subject: "2" }))).toBe("alice-2");
    expect(open.directory.member("alice")).toMatchObject({ external: true, displayName: "Alice", role: Role.OPERATOR });
    expect(open.audited.slice(0, 3)).toEqual(["alice members.create alice", "alice login alice", "alice login alice"]);
  });

  it("makes one member of fifty first logins at once", async () => {
    const ids = await Promise.all(Array.from({ length: 50 }, () => idOf(logIn())));
    expect(new Set(ids)).toEqual(new Set(["alice"]));
  });

  it("never becomes a local member by name", async () => {
    await claimAs(open.logins, "alice");
    const session = await logIn({ preferredName: "alice", displayName: "alice" });
    expect(session.principal.subject.id).toBe("alice-2");
    expect(open.directory.roleOf(session.principal.subject)).toBe(Role.OPERATOR);
    expect(open.directory.member("alice")).toMatchObject({ external: false, role: Role.OWNER });
  });

  it("gives no password, and is not let in with one", async () => {
    await logIn();
    expect(await reasonOf(open.logins.logIn({ memberId: "alice", password: PASSWORD }, from()))).toBe("LOGIN_FAILED");
    expect(await reasonOf(open.as(operator).members.renewInvite({ memberId: "alice" }))).toBe("MEMBER_EXTERNAL");
  });

  it("takes the role of the groups at each login, which ends the sessions before", async () => {
    await storeMember(open.store.database, "root", Role.OWNER);
    const first = await logIn();
    await logIn({ role: Role.ADMIN });
    expect(open.directory.roleOf(member("alice"))).toBe(Role.ADMIN);
    expect(await open.domain.sessions.verify(first.secret)).toBeUndefined();
    expect(open.changes.find(({ action }) => action === "members.update")?.fields).toEqual([
      { path: "role", before: "operator", after: "admin" },
    ]);
    await logIn({ role: Role.VIEWER });
    expect(open.directory.roleOf(member("alice"))).toBe(Role.VIEWER);
  });

  it("keeps the last owner, whatever the groups say", async () => {
    await logIn({ role: Role.OWNER });
    expect(await open.logins.hasOwner()).toBe(true);
    expect(await reasonOf(open.logins.createSetupCode())).toBe("OWNER_EXISTS");
    await logIn({ role: Role.VIEWER });
    expect(open.directory.roleOf(member("alice"))).toBe(Role.OWNER);
    await storeMember(open.store.database, "root", Role.OWNER);
    await logIn({ role: Role.VIEWER });
    expect(open.directory.roleOf(member("alice"))).toBe(Role.VIEWER);
  });

  it("lets nobody in without a role or an identity, nor whom an admin has disabled", async () => {
    expect(await reasonOf(logIn({ role: undefined }))).toBe("LOGIN_FAILED");
    expect(await reasonOf(logIn({ role: Role.UNSPECIFIED }))).toBe("LOGIN_FAILED");
    expect(await reasonOf(logIn({ subject: "" }))).toBe("LOGIN_FAILED");
    expect(await reasonOf(logIn({ issuer: "" }))).toBe("LOGIN_FAILED");
    expect(open.denials).toHaveLength(4);
    await logIn();
    await open.as(operator).members.updateMember({ member: memberOf({ id: "alice", state: MemberState.DISABLED }) });
    expect(await reasonOf(logIn({ role: Role.OWNER }))).toBe("LOGIN_FAILED");
    await open.as(operator).members.updateMember({ member: memberOf({ id: "alice", state: MemberState.ACTIVE }) });
    expect(await idOf(logIn())).toBe("alice");
  });

  it("is not the way of an invited member either", async () => {
    const { inviteUrl } = await open.as(operator).members.inviteMember({ memberId: "alice", role: Role.ADMIN });
    expect(await idOf(logIn())).toBe("alice-2");
    expect((await open.logins.readInvite(codeIn(inviteUrl))).id).toBe("alice");
  });
});
