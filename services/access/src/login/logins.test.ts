import { createHash, randomBytes } from "node:crypto";
import { sql } from "@openhermit/postgres";
import { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { MemberState } from "@openhermit/protocol/access/v1/member";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Logins, NewSession } from "../access-ports.ts";
import type { Principal } from "../principal.ts";
import { member, serviceAccount, storeMember, storeServiceAccount } from "../test/access-database.ts";
import { createPasswordHasher } from "./password-hasher.ts";
import { createLogins } from "./logins.ts";
import {
  claimAs,
  codeIn,
  from,
  memberOf,
  openLogins,
  operator,
  PASSWORD,
  principalOf,
  reasonOf,
  type OpenLogins,
} from "./test/open-logins.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

let open: OpenLogins;
let logins: Logins;
beforeAll(async () => {
  open = await openLogins();
  logins = open.logins;
});
afterAll(() => open.close());
beforeEach(() => open.clear());

const claim = (code: string, memberId: string, password = PASSWORD) =>
  logins.claimOwnership({ code, memberId, displayName: "", password }, from());
const logIn = (memberId: string, password = PASSWORD, address?: string): Promise<NewSession> =>
  logins.logIn({ memberId, password }, from(address));
const invite = async (memberId: string, role: Role = Role.VIEWER): Promise<string> =>
  codeIn((await open.as(operator).members.inviteMember({ memberId, role })).inviteUrl);
const accept = (code: string, password = PASSWORD) => logins.acceptInvite({ code, displayName: "", password }, from());

describe("the first owner", () => {
  it("is exactly one of fifty who claim at once with codes of their own", async () => {
    const codes = await Promise.all(Array.from({ length: 50 }, () => logins.createSetupCode()));
    const reasons = await Promise.all(codes.map(({ code }, i) => reasonOf(claim(code, `owner-${i}`))));
    expect(reasons.toSorted()).toEqual([...Array<string>(49).fill("OWNER_EXISTS"), "none"]);
    const { rows } = await open.store.database.query<{ id: string }>(sql`SELECT id FROM access.members`);
    expect(rows).toEqual([{ id: `owner-${reasons.indexOf("none")}` }]);
    expect(await logins.hasOwner()).toBe(true);
  });

  it("is exactly one of fifty who claim at once with the same code", async () => {
    const { code } = await logins.createSetupCode();
    const reasons = await Promise.all(Array.from({ length: 50 }, (_, i) => reasonOf(claim(code, `owner-${i}`))));
    expect(reasons.filter((reason) => reason === "none")).toHaveLength(1);
    expect(new Set(reasons)).toEqual(new Set(["none", "OWNER_EXISTS"]));
  });

  it("comes in with a session, as an owner, and in the audit trail", async () => {
    const { member: owner, session } = await claimAs(logins, "alice");
    expect(owner).toMatchObject({ id: "alice", displayName: "alice", role: Role.OWNER, state: MemberState.ACTIVE });
    expect(await open.domain.sessions.verify(session.secret)).toEqual(session.principal);
    expect(open.directory.roleOf(member("alice"))).toBe(Role.OWNER);
    expect(open.audited).toEqual(["- setup-code.create", "alice ownership.claim alice", "alice login alice"]);
  });

  it("needs a code that is right, fresh and unused, and a good password", async () => {
    const { code } = await logins.createSetupCode();
    expect(await reasonOf(claim("wrong", "alice"))).toBe("CODE_INVALID");
    expect(open.hasher.hashed).toBe(0);
    expect(await reasonOf(claim(code, "alice", "alicealicealice"))).toBe("PASSWORD_WEAK");
    expect(await reasonOf(claim(code, "Alice"))).toBe("REQUEST_INVALID");
    open.pass(30 * MINUTE_MS);
    expect(await reasonOf(claim(code, "alice"))).toBe("CODE_INVALID");
    expect(open.denials.map(({ reason }) => reason)).toEqual(["CODE_INVALID", "CODE_INVALID"]);
    expect(await logins.hasOwner()).toBe(false);
    await claimAs(logins, "alice");
    expect(await reasonOf(logins.createSetupCode())).toBe("OWNER_EXISTS");
  });

  it("may also be one who was invited as owner; then there is nothing to claim", async () => {
    const { code } = await logins.createSetupCode();
    await accept(await invite("olga", Role.OWNER));
    expect(await reasonOf(claim(code, "alice"))).toBe("OWNER_EXISTS");
  });

  it("gets no session over the RPC", async () => {
    const { url } = await open.as(operator).login.createSetupCode({});
    expect(url).toMatch(/^https:\/\/mesh\.example\/setup\?code=[\w-]{43}$/);
    const nobody = open.as(undefined);
    const answer = await nobody.login.claimOwnership({ code: codeIn(url), memberId: "alice", password: PASSWORD });
    expect(answer.member?.role).toBe(Role.OWNER);
    const { rows } = await open.store.database.query(sql`SELECT 1 FROM access.sessions`);
    expect(rows).toEqual([]);
  });
});

describe("an invite", () => {
  it("works once, within seven days, and shows whom it is for", async () => {
    const code = await invite("bob", Role.ADMIN);
    expect(await logins.readInvite(code)).toMatchObject({ id: "bob", role: Role.ADMIN, state: MemberState.INVITED });
    expect(await reasonOf(logIn("bob"))).toBe("LOGIN_FAILED");
    const results = await Promise.all(Array.from({ length: 5 }, () => reasonOf(accept(code))));
    expect(results.toSorted()).toEqual([...Array<string>(4).fill("CODE_INVALID"), "none"]);
    await logIn("bob");

    const late = await invite("carol");
    open.pass(7 * DAY_MS);
    expect(await reasonOf(accept(late))).toBe("CODE_INVALID");
    expect(await reasonOf(logins.readInvite(late))).toBe("CODE_INVALID");
  });

  it("ends when it is renewed, when the member is disabled, and when the member is raised", async () => {
    const { members } = open.as(operator);
    const first = await invite("bob");
    const second = codeIn((await members.renewInvite({ memberId: "bob" })).inviteUrl);
    expect(await reasonOf(accept(first))).toBe("CODE_INVALID");
    expect((await logins.readInvite(second)).id).toBe("bob");

    // Whoever made the link as an admin must not become the owner with it.
    await members.updateMember({ member: memberOf({ id: "bob", role: Role.OWNER }) });
    expect(await reasonOf(accept(second))).toBe("CODE_INVALID");

    const third = codeIn((await members.renewInvite({ memberId: "bob" })).inviteUrl);
    await members.updateMember({ member: memberOf({ id: "bob", state: MemberState.DISABLED }) });
    expect(await reasonOf(accept(third))).toBe("CODE_INVALID");
  });

  it("works only as long as whoever made it may still give that role", async () => {
    const { database } = open.store;
    await storeMember(database, "adam", Role.ADMIN);
    await storeMember(database, "olga", Role.OWNER);
    await storeServiceAccount(database, "robot", Role.ADMIN);
    await open.directory.refresh();
    const inviteBy = async (principal: Principal, memberId: string, role: Role) =>
      codeIn((await open.as(principal).members.inviteMember({ memberId, role })).inviteUrl);
    const adam = principalOf(member("adam"));
    const early = await inviteBy(adam, "bob", Role.ADMIN);
    const codes = [
      early,
      await inviteBy(adam, "carol", Role.VIEWER),
      await inviteBy(principalOf(serviceAccount("robot"), member("adam")), "dora", Role.ADMIN),
    ];
    expect((await logins.readInvite(early)).id).toBe("bob");
    const { members } = open.as(operator);
    await members.updateMember({ member: memberOf({ id: "adam", role: Role.OPERATOR }) });
    for (const code of codes) expect(await reasonOf(accept(code))).toBe("CODE_INVALID");
    expect(await reasonOf(logins.readInvite(early))).toBe("CODE_INVALID");
    await members.removeMember({ memberId: "adam" });
    expect(await reasonOf(accept(early))).toBe("CODE_INVALID");

    const heir = await inviteBy(principalOf(member("olga")), "eve", Role.OWNER);
    const other = await inviteBy(principalOf(member("olga")), "finn", Role.ADMIN);
    await storeMember(database, "oscar", Role.OWNER);
    await members.updateMember({ member: memberOf({ id: "olga", role: Role.ADMIN }) });
    expect(await reasonOf(accept(heir))).toBe("CODE_INVALID");
    await accept(other);
  });

  it("gives a new password to who lost the old one, which works until then, and ends what was logged in", async () => {
    await accept(await invite("bob"));
    const session = await logIn("bob");
    const renewed = codeIn((await open.as(operator).members.renewInvite({ memberId: "bob" })).inviteUrl);
    await logIn("bob");
    await accept(renewed, "another good password");
    expect(await reasonOf(logIn("bob"))).toBe("LOGIN_FAILED");
    await logIn("bob", "another good password");
    expect(await open.domain.sessions.verify(session.secret)).toBeUndefined();
  });

  it("is no other kind of code", async () => {
    const code = await invite("bob");
    expect(await reasonOf(logins.logInWithLink(code, from()))).toBe("CODE_INVALID");
    expect(await reasonOf(claim(code, "mallory"))).toBe("CODE_INVALID");
    const link = (await logins.createLoginLinkCode()).code;
    expect(await reasonOf(accept(link))).toBe("CODE_INVALID");
  });
});

describe("a login with a password", () => {
  beforeEach(() => claimAs(logins, "alice", "192.0.2.1"));

  it("says the same for a wrong name, a wrong password, and a member who can't, and hashes for each", async () => {
    await invite("bob");
    await storeMember(open.store.database, "dora", Role.VIEWER, MemberState.DISABLED);
    open.hasher.verified = 0;
    const cases = ["alice", "nobody", "bob", "dora", "Not An Id", "", "constructor", "x".repeat(10_000)];
    const errors: unknown[] = [];
    for (const name of cases) errors.push(await logIn(name, "wrong password").catch((error: unknown) => error));
    expect(errors).toHaveLength(cases.length);
    for (const error of errors) {
      expect(error).toEqual(errors[0]);
      expect(error).toMatchObject({ reason: "LOGIN_FAILED", code: "unauthenticated", fields: {} });
    }
    expect(open.hasher.verified).toBe(cases.length);
    // A name that is nobody's may be a password in the wrong field.
    expect(open.denials.map(({ targetId }) => targetId).filter((id) => id !== "")).toEqual(["alice", "bob"]);
    expect(open.denials.every(({ actor }) => actor.subject.kind === SubjectKind.ANONYMOUS)).toBe(true);
  });

  it("works with the real hasher, and stores no password", async () => {
    const real = createLogins({
      database: open.store.database,
      log: open.log,
      directory: open.directory,
      audit: { recordChanges: () => async () => undefined, recordDenial: () => undefined },
      gatewayUrl: () => "",
      issueLoginToken: () => Promise.reject(new Error("not here")),
      onRevoked: () => {},
      hasher: createPasswordHasher(),
    });
    const code = await invite("bob");
    await real.logins.acceptInvite({ code, displayName: "Bob", password: PASSWORD }, from());
    await real.logins.logIn({ memberId: "bob", password: PASSWORD }, from());
    expect(await reasonOf(real.logins.logIn({ memberId: "bob", password: "wrong password" }, from()))).toBe(
      "LOGIN_FAILED",
    );
    const { rows } = await open.store.database.query(sql`SELECT to_jsonb(m) AS row FROM access.members m`);
    expect(JSON.stringify(rows)).not.toContain(PASSWORD);
  });

  it("never adopts a session id that was there before", async () => {
    const planted = randomBytes(32).toString("base64url");
    expect(await open.domain.sessions.verify(planted)).toBeUndefined();
    const first = await logIn("alice");
    const second = await logIn("alice");
    expect(new Set([planted, first.secret, second.secret]).size).toBe(3);
    expect(await open.domain.sessions.verify(planted)).toBeUndefined();
    const { rows } = await open.store.database.query<{ row: string }>(
      sql`SELECT s::text AS row FROM access.sessions s`,
    );
    const stored = rows.map(({ row }) => row).join("\n");
    expect(stored).toContain(sha256(first.secret).toString("hex"));
    expect(stored).not.toContain(Buffer.from(first.secret, "base64url").toString("hex"));
  });

  it("is not undone by strangers: the owner still comes in from a known address", async () => {
    await logIn("alice", PASSWORD, "192.0.2.1");
    let limited = 0;
    for (let i = 0; i < 60; i += 1) {
      if ((await reasonOf(logIn("alice", "wrong password", `198.51.100.${i}`))) === "LOGIN_LIMITED") limited += 1;
    }
    expect(limited).toBe(30);
    expect(await reasonOf(logIn("alice", PASSWORD, "203.0.113.9"))).toBe("LOGIN_LIMITED");
    await logIn("alice", PASSWORD, "192.0.2.1");
    open.pass(15 * MINUTE_MS);
    await logIn("alice", PASSWORD, "203.0.113.9");
    expect(open.denials.filter(({ reason }) => reason === "LOGIN_LIMITED")).toHaveLength(31);
  });

  it("forgets an address after thirty days", async () => {
    open.pass(30 * DAY_MS);
    for (let i = 0; i < 30; i += 1) await reasonOf(logIn("alice", "wrong password", `198.51.100.${i}`));
    expect(await reasonOf(logIn("alice", PASSWORD, "192.0.2.1"))).toBe("LOGIN_LIMITED");
  });

  it("limits names that nobody has in the same way", async () => {
    const reasons: string[] = [];
    for (let i = 0; i < 12; i += 1) reasons.push(await reasonOf(logIn("nobody", "wrong password")));
    expect(reasons.slice(0, 10)).toEqual(Array<string>(10).fill("LOGIN_FAILED"));
    expect(reasons.slice(10)).toEqual(["LOGIN_LIMITED", "LOGIN_LIMITED"]);
  });

  it("does not happen when it can't be audited", async () => {
    const deaf = createLogins({
      database: open.store.database,
      log: open.log,
      directory: open.directory,
      hasher: open.hasher,
      audit: { recordChanges: () => () => Promise.reject(new Error("no room")), recordDenial: () => undefined },
      gatewayUrl: () => "",
      issueLoginToken: () => Promise.reject(new Error("not here")),
      onRevoked: () => {},
    });
    const count = async (): Promise<number> =>
      (await open.store.database.query(sql`SELECT 1 FROM access.sessions`)).rows.length;
    const before = await count();
    await expect(deaf.logins.logIn({ memberId: "alice", password: PASSWORD }, from())).rejects.toThrow("no room");
    expect(await count()).toBe(before);
  });
});

describe("a login link", () => {
  it("opens one session of the local operator, within twelve hours", async () => {
    const { url } = await open.as(operator).login.createLoginLink({});
    expect(url).toMatch(/^https:\/\/mesh\.example\/login\?code=/);
    const reasons = await Promise.all(
      Array.from({ length: 5 }, () => reasonOf(logins.logInWithLink(codeIn(url), from()))),
    );
    expect(reasons.toSorted()).toEqual([...Array<string>(4).fill("CODE_INVALID"), "none"]);
    const { code } = await logins.createLoginLinkCode();
    open.pass(12 * HOUR_MS);
    expect(await reasonOf(logins.logInWithLink(code, from()))).toBe("CODE_INVALID");
  });
});

describe("a token of a command line", () => {
  const verifier = "v".repeat(43);
  const challenge = sha256(verifier).toString("base64url");
  let session: NewSession;
  beforeEach(async () => {
    ({ session } = await claimAs(logins, "alice"));
  });
  const exchange = (code: string, secret = verifier) =>
    open.as(undefined).login.exchangeLoginCode({ code, verifier: secret });

  it("is of whoever approved, once", async () => {
    const { code } = await logins.createTokenCode(session.principal, challenge, "lap\ntop");
    const { identity, ...answer } = await exchange(code);
    expect(identity).toMatchObject({ subject: { kind: SubjectKind.MEMBER, id: "alice" }, role: Role.OWNER });
    expect(identity?.accessor).toBe(answer.accessor);
    expect(answer.token).toMatch(/^ohm_/);
    expect(await reasonOf(exchange(code))).toBe("CODE_INVALID");
    expect(open.audited.at(-1)).toBe(`alice tokens.create ${answer.accessor}`);
    expect(open.changes.at(-1)?.fields?.[0]).toEqual({ path: "name", before: "", after: "lap top" });
    expect(JSON.stringify(open.changes)).not.toContain(answer.token);
  });

  it("is not for another verifier, which uses the code up", async () => {
    const { code } = await logins.createTokenCode(session.principal, challenge, "laptop");
    expect(await reasonOf(exchange(code, "w".repeat(43)))).toBe("CODE_INVALID");
    expect(await reasonOf(exchange(code))).toBe("CODE_INVALID");
  });

  it("comes only within ten minutes, while the session lasts, and from a recent login", async () => {
    const late = await logins.createTokenCode(session.principal, challenge, "laptop");
    open.pass(10 * MINUTE_MS);
    expect(await reasonOf(exchange(late.code))).toBe("CODE_INVALID");

    const { code } = await logins.createTokenCode(session.principal, challenge, "laptop");
    await logins.logOut(session.principal, from());
    expect(await reasonOf(exchange(code))).toBe("CODE_INVALID");

    const old = await logIn("alice");
    open.pass(HOUR_MS + 1);
    expect(await reasonOf(logins.createTokenCode(old.principal, challenge, "x"))).toBe("LOGIN_TOO_OLD");
    expect(await reasonOf(logins.createTokenCode(principalOf(member("alice")), challenge, "x"))).toBe(
      "SESSION_REQUIRED",
    );
    const fresh = await logIn("alice");
    expect(await reasonOf(logins.createTokenCode(fresh.principal, "not a challenge", "x"))).toBe("REQUEST_INVALID");
  });
});

describe("ChangePassword", () => {
  const next = "another good password";
  let session: NewSession;
  beforeEach(async () => {
    ({ session } = await claimAs(logins, "alice"));
  });

  it("needs the current one, and ends the other sessions", async () => {
    const other = await logIn("alice");
    const { login } = open.as(session.principal);
    expect(await reasonOf(login.changePassword({ currentPassword: "wrong password", newPassword: next }))).toBe(
      "PASSWORD_WRONG",
    );
    expect(await reasonOf(login.changePassword({ currentPassword: PASSWORD, newPassword: "aliceAlicealice" }))).toBe(
      "PASSWORD_WEAK",
    );
    await login.changePassword({ currentPassword: PASSWORD, newPassword: next });
    expect(await open.domain.sessions.verify(session.secret)).toEqual(session.principal);
    expect(await open.domain.sessions.verify(other.secret)).toBeUndefined();
    await logIn("alice", next);
    expect(open.audited).toContain("alice password.change alice");
  });

  it("ends the tokens of other logins and keeps the one it is called with", async () => {
    const tokens = await Promise.all(
      ["one", "two"].map(async (name) => {
        const challenge = sha256("v".repeat(43)).toString("base64url");
        const { code } = await logins.createTokenCode(session.principal, challenge, name);
        return open.as(undefined).login.exchangeLoginCode({ code, verifier: "v".repeat(43) });
      }),
    );
    const [mine, other] = tokens.map(({ accessor }) => accessor);
    const principal = principalOf(member("alice"));
    const caller = { ...principal, credential: { ...principal.credential, accessor: mine ?? "" } } as typeof principal;
    await open.as(caller).login.changePassword({ currentPassword: PASSWORD, newPassword: next });
    const { rows } = await open.store.database.query<{ accessor: string; revoked: boolean }>(
      sql`SELECT accessor, revoke_time IS NOT NULL AS revoked FROM access.tokens`,
    );
    expect(new Map(rows.map((row) => [row.accessor, row.revoked]))).toEqual(
      new Map([
        [mine, false],
        [other, true],
      ]),
    );
    expect(open.revoked).toEqual([other]);
    // Logging out with the one that is left ends it here at once, too.
    await open.as(caller).login.logout({});
    expect(open.revoked).toEqual([other, mine]);
    expect(await open.domain.sessions.verify(session.secret)).toBeUndefined();
  });

  it("is not for who has no password, and guesses are limited", async () => {
    expect(await reasonOf(open.as(operator).login.changePassword({ currentPassword: "", newPassword: next }))).toBe(
      "PASSWORD_NONE",
    );
    const { login } = open.as(session.principal);
    const reasons: string[] = [];
    for (let i = 0; i < 11; i += 1) {
      reasons.push(await reasonOf(login.changePassword({ currentPassword: `guess ${i}`, newPassword: next })));
    }
    expect(reasons.at(-2)).toBe("PASSWORD_WRONG");
    expect(reasons.at(-1)).toBe("LOGIN_LIMITED");
  });
});

describe("Logout and GetIdentity", () => {
  it("ends a session at once, and the operator token never", async () => {
    const { session } = await claimAs(logins, "alice");
    const { login } = open.as(session.principal);
    const { identity } = await login.getIdentity({});
    expect(identity).toMatchObject({ subject: { id: "alice" }, role: Role.OWNER, displayName: "alice", scopes: [] });
    expect(identity?.loginTime).toBeDefined();
    await login.logout({});
    await login.logout({});
    expect(await open.domain.sessions.verify(session.secret)).toBeUndefined();
    expect(open.audited.filter((line) => line.includes("logout"))).toEqual(["alice logout alice"]);

    const host = open.as(operator).login;
    expect(await reasonOf(host.logout({}))).toBe("OPERATOR_TOKEN_STAYS");
    expect((await host.getIdentity({})).identity).toMatchObject({ role: Role.OWNER, accessor: "" });
  });
});

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
