import { sql } from "@openhermit/postgres";
import { MemberState } from "@openhermit/protocol/access/v1/member";
import { Role } from "@openhermit/protocol/access/v1/subject";
import { waitFor } from "@openhermit/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ACCESS_CHANNEL, decodeNotice } from "../access-channel.ts";
import type { NewSession } from "../access-ports.ts";
import { member, storeMember } from "../test/access-database.ts";
import type { LoginDomain } from "./logins.ts";
import { claimAs, from, memberOf, openLogins, operator, PASSWORD, type OpenLogins } from "./test/open-logins.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

let open: OpenLogins;
beforeAll(async () => {
  open = await openLogins();
});
afterAll(() => open.close());

let session: NewSession;
beforeEach(async () => {
  await open.clear();
  ({ session } = await claimAs(open.logins, "alice"));
});

const verify = (domain: LoginDomain = open.domain) => domain.sessions.verify(session.secret);
const lastUse = async (): Promise<Date | undefined> => {
  const { rows } = await open.store.database.query<{ time: Date }>(
    sql`SELECT last_use_time AS time FROM access.sessions`,
  );
  return rows[0]?.time;
};

describe("a session", () => {
  it("ends when nobody uses it for twelve hours", async () => {
    open.pass(12 * HOUR_MS - 1);
    expect(await verify()).toEqual(session.principal);
    open.pass(12 * HOUR_MS - 1);
    expect(await verify()).toBeDefined();
    open.pass(12 * HOUR_MS);
    expect(await verify()).toBeUndefined();
  });

  it("ends after seven days, however it is used, also when it is in memory", async () => {
    const last = open.now().getTime() + 7 * 24 * HOUR_MS;
    while (open.now().getTime() + 11 * HOUR_MS < last) {
      open.pass(11 * HOUR_MS);
      expect(await verify()).toBeDefined();
    }
    open.pass(last - open.now().getTime() - 1);
    expect(await verify()).toEqual(session.principal);
    expect(open.domain.sessions.isCurrent(session.principal)).toBe(true);
    open.pass(1);
    expect(open.domain.sessions.isCurrent(session.principal)).toBe(false);
    expect(await verify()).toBeUndefined();
  });

  it("has its last use written once a minute, and is read once a minute", async () => {
    const loginTime = open.now();
    await verify();
    const before = open.store.database.statementCount();
    for (let i = 0; i < 50; i += 1) {
      open.pass(1000);
      await verify();
    }
    expect(open.store.database.statementCount()).toBe(before);
    expect(await lastUse()).toEqual(loginTime);
    open.pass(MINUTE_MS);
    await verify();
    expect(await lastUse()).toEqual(open.now());
  });

  it("is nobody's when the id is wrong, cut, or the hash itself", async () => {
    const { credential } = session.principal;
    const hash = credential.kind === "session" ? credential.sessionId : "";
    for (const secret of ["", "x", session.secret.slice(1), hash, "%00", "'--"]) {
      expect(await open.domain.sessions.verify(secret)).toBeUndefined();
    }
  });

  it("ends at once with a new role or state of the member, and with its removal", async () => {
    await storeMember(open.store.database, "second", Role.OWNER);
    const { members } = open.as(operator);
    await verify();
    await members.updateMember({ member: memberOf({ id: "alice", role: Role.ADMIN }) });
    expect(open.domain.sessions.isCurrent(session.principal)).toBe(false);
    expect(await verify()).toBeUndefined();

    session = await open.logins.logIn({ memberId: "alice", password: PASSWORD }, from());
    await verify();
    await members.updateMember({ member: memberOf({ id: "alice", displayName: "Alice" }) });
    expect(await verify()).toBeDefined();
    await members.updateMember({ member: memberOf({ id: "alice", state: MemberState.DISABLED }) });
    expect(await verify()).toBeUndefined();

    await members.updateMember({ member: memberOf({ id: "alice", state: MemberState.ACTIVE }) });
    session = await open.logins.logIn({ memberId: "alice", password: PASSWORD }, from());
    await verify();
    await members.removeMember({ memberId: "alice" });
    expect(await verify()).toBeUndefined();
  });
});

describe("another gateway", () => {
  it("is told when a session ends, and forgets it", async () => {
    const other = open.secondGateway();
    const subscription = open.store.database.listen(ACCESS_CHANNEL, (payload) => {
      const notice = decodeNotice(payload);
      if (notice?.kind === "session") other.sessions.forget([notice.sessionId]);
    });
    await waitFor(
      async () => {
        await open.store.database.query(sql`SELECT pg_notify(${ACCESS_CHANNEL}, 'directory')`);
        return open.store.database.status().ready;
      },
      { what: "the database" },
    );
    try {
      expect(await verify(other)).toEqual(session.principal);
      expect(other.sessions.isCurrent(session.principal)).toBe(true);
      await open.logins.logOut(session.principal, from());
      await waitFor(() => !other.sessions.isCurrent(session.principal), { what: "the notice", deadlineMs: 1000 });
      expect(await verify(other)).toBeUndefined();
    } finally {
      subscription.close();
    }
  });

  it("finds out when it checks again what it was not told", async () => {
    const other = open.secondGateway();
    await verify(other);
    await open.logins.logOut(session.principal, from());
    expect(await verify(other)).toBeDefined();
    await other.sessions.recheck();
    expect(other.sessions.isCurrent(session.principal)).toBe(false);
    expect(await verify(other)).toBeUndefined();
  });

  it("keeps what still is when it checks again", async () => {
    const other = open.secondGateway();
    await verify(other);
    await other.sessions.recheck();
    expect(other.sessions.isCurrent(session.principal)).toBe(true);
    expect(await verify(other)).toEqual(session.principal);
  });

  it("does not keep what ended while it was read", async () => {
    const other = open.secondGateway();
    const reading = verify(other);
    other.sessions.forget(["00"]);
    await reading;
    expect(other.sessions.isCurrent(session.principal)).toBe(false);
  });

  it("ends the sessions of a member that the directory says is disabled", async () => {
    await verify();
    await storeMember(open.store.database, "alice", Role.OWNER, MemberState.DISABLED);
    await open.directory.refresh();
    expect(open.directory.roleOf(member("alice"))).toBe(Role.UNSPECIFIED);
    expect(open.domain.sessions.isCurrent(session.principal)).toBe(false);
    open.pass(MINUTE_MS);
    expect(await verify()).toBeUndefined();
  });
});
