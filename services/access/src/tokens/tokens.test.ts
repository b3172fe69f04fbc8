import { sql } from "@openhermit/postgres";
import { MemberState } from "@openhermit/protocol/access/v1/member";
import { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { waitFor, type TestDatabase } from "@openhermit/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Principal, SubjectRef } from "../principal.ts";
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
import { auditOf, browser, operator, startAccess, tellAll, type AccessFixture } from "../test/access-fixture.ts";
import { revokeTokensOf } from "./revoke-tokens.ts";
import { issueLoginToken } from "./issue-token.ts";
import { openTokenHash, type TokenHash } from "./token-hash.ts";
import { deleteOldTokens } from "./token-store.ts";

let store: TestDatabase;
let here: AccessFixture;
let there: AccessFixture;
let hash: TokenHash;

const DAY = 24 * 60 * 60;
const alice = browser(member("alice"));
const bob = browser(member("bob"));
const ADDRESS = "192.0.2.7";

beforeAll(async () => {
  store = await accessDatabase();
  here = await startAccess(store.database);
  there = await startAccess(store.database);
  hash = await openTokenHash(store.database, "");
});
afterAll(async () => {
  await Promise.all([here.stop(), there.stop()]);
  await store.drop();
});
beforeEach(async () => {
  await clearAccess(store.database);
  await storeMember(store.database, "alice", Role.ADMIN);
  await storeMember(store.database, "bob", Role.OPERATOR);
  await storeTeam(store.database, "red", [member("bob")]);
  await storeServiceAccount(store.database, "ci", Role.OPERATOR);
  await tellAll(store.database, [here, there]);
});

async function mint(
  principal: Principal,
  scopes: string[],
  rest: { serviceAccountId?: string; ttl?: { seconds: bigint }; name?: string } = {},
): Promise<{ secret: string; accessor: string; expireTime: number; principal: Principal }> {
  const { secret, token } = await here.as(principal).tokens.createToken({ scopes, ...rest });
  const verified = await here.access.verifyToken(secret, ADDRESS);
  if (token === undefined || verified === undefined) throw new Error("no token");
  return {
    secret,
    accessor: token.accessor,
    expireTime: Number(token.expireTime?.seconds ?? 0n),
    principal: verified,
  };
}
const verifies = async ({ access }: AccessFixture, secret: string): Promise<boolean> =>
  (await access.verifyToken(secret, ADDRESS)) !== undefined;

describe("making a token", () => {
  it("shows the secret once, stores a digest, and says who made it for whom", async () => {
    const { secret, token } = await here
      .as(alice)
      .tokens.createToken({ serviceAccountId: "ci", name: "deploys", scopes: ["sessions:free:write", "agents:read"] });
    expect(secret).toMatch(/^ohm_[0-9A-Za-z]{38}$/);
    expect(token).toMatchObject({
      name: "deploys",
      subject: serviceAccount("ci"),
      creator: member("alice"),
      parentAccessor: "",
      scopes: ["agents:read", "sessions:free:write"],
      login: false,
    });
    const days = (Number(token?.expireTime?.seconds) - Number(token?.createTime?.seconds)) / DAY;
    expect(days).toBe(90);
    const { rows } = await store.database.query<{ row: string }>(sql`SELECT t::text AS row FROM access.tokens t`);
    expect(rows[0]?.row).toContain(token?.accessor);
    expect(rows[0]?.row).not.toContain(secret.slice(4, 20));
    expect((await auditOf(store.database)).at(-1)).toBe(`tokens.create token/${token?.accessor}`);
    expect(await here.access.verifyToken(secret, ADDRESS)).toEqual({
      subject: serviceAccount("ci"),
      creator: member("alice"),
      credential: expect.objectContaining({ kind: "token", accessor: token?.accessor, login: false }) as unknown,
    });
    const mistyped = secret.slice(0, -1) + (secret.endsWith("x") ? "y" : "x");
    expect(await here.access.verifyToken(mistyped, ADDRESS)).toBeUndefined();
  });

  it.each([
    ["an unknown scope", bob, ["agents:red"], "SCOPE_UNKNOWN"],
    ["what the role does not hold", bob, ["members:read"], "SCOPE_TOO_BROAD"],
    ["everything, without being an admin", bob, ["*:read"], "SCOPE_TOO_BROAD"],
    ["an agent of another team", bob, ["agents:two:read"], "SCOPE_TOO_BROAD"],
    ["an agent that does not exist", bob, ["agents:none:read"], "SCOPE_TOO_BROAD"],
  ])("refuses %s", async (_what, who, scopes, reason) => {
    await expect(here.as(who).tokens.createToken({ scopes })).rejects.toThrow(reason);
  });

  it("says of an agent out of reach just what it says of one that does not exist", async () => {
    const words = async (id: string): Promise<string> => {
      const error: unknown = await here
        .as(bob)
        .tokens.createToken({ scopes: [`agents:${id}:read`] })
        .catch((thrown: unknown) => thrown);
      return String(error).replaceAll(id, "AGENT");
    };
    expect(await words("two")).toBe(await words("nil"));
    await storeGrant(store.database, member("bob"), "two", Role.VIEWER);
    await tellAll(store.database, [here]);
    await expect(mint(bob, ["agents:two:read"])).resolves.toMatchObject({ principal: { subject: member("bob") } });
    await expect(mint(bob, ["agents:two:write"])).rejects.toThrow("SCOPE_TOO_BROAD");
  });

  it("never gives a token more than the token it is made with, nor more time", async () => {
    const parent = await mint(alice, ["agents:one:write", "tokens:write"], { ttl: { seconds: 3600n } });
    await expect(mint(parent.principal, ["agents:one2:read"])).rejects.toThrow("SCOPE_TOO_BROAD");
    await expect(mint(parent.principal, ["agents:read"])).rejects.toThrow("SCOPE_TOO_BROAD");
    await expect(mint(parent.principal, ["*:read"])).rejects.toThrow("SCOPE_TOO_BROAD");
    const child = await mint(parent.principal, ["agents:one:read"]);
    expect(child.expireTime).toBe(parent.expireTime);
    await expect(mint(alice, ["agents:read"], { ttl: { seconds: BigInt(367 * DAY) } })).rejects.toThrow(
      "TOKEN_TTL_INVALID",
    );
  });

  it("for a service account is for admins, within the role of the account, and not for other accounts", async () => {
    await expect(mint(bob, ["agents:read"], { serviceAccountId: "ci" })).rejects.toThrow("SERVICE_ACCOUNT_NOT_FOUND");
    await expect(mint(alice, ["agents:read"], { serviceAccountId: "cd" })).rejects.toThrow("SERVICE_ACCOUNT_NOT_FOUND");
    await expect(mint(alice, ["members:read"], { serviceAccountId: "ci" })).rejects.toThrow(
      /SCOPE_TOO_BROAD.*service-account:ci/,
    );
    const narrow = await mint(alice, ["tokens:write", "agents:read"]);
    await expect(mint(narrow.principal, ["agents:read"], { serviceAccountId: "ci" })).rejects.toThrow(
      "SERVICE_ACCOUNT_NOT_FOUND",
    );
    const wide = await mint(alice, ["tokens:write", "agents:read", "service-accounts:ci:write"]);
    await expect(mint(wide.principal, ["agents:read"], { serviceAccountId: "ci" })).resolves.toBeDefined();

    await storeServiceAccount(store.database, "root", Role.ADMIN);
    await tellAll(store.database, [here]);
    const { secret } = await here.as(alice).tokens.createToken({ scopes: ["*:write"], serviceAccountId: "root" });
    const root = await here.access.verifyToken(secret, ADDRESS);
    if (root === undefined) throw new Error("no principal");
    await expect(mint(root, ["agents:read"], { serviceAccountId: "ci" })).rejects.toThrow("RIGHT_MISSING");
    const own = await mint(root, ["agents:read"]);
    expect(own.principal).toMatchObject({ subject: serviceAccount("root"), creator: member("alice") });
  });

  it("stops at a thousand that still work", async () => {
    await store.database.query(sql`
      INSERT INTO access.tokens (accessor, hash, name, subject_kind, subject_id, creator_kind, creator_id, parent_accessor,
        scopes, login, expire_time)
      SELECT 'acc_' || i, sha256(i::text::bytea), '', ${SubjectKind.MEMBER}, 'bob', ${SubjectKind.MEMBER}, 'bob', '', '{}',
        false, now() + interval '1 day' FROM generate_series(1, 1000) AS i`);
    await expect(mint(bob, ["agents:read"])).rejects.toThrow("TOKENS_LIMITED");
    await expect(mint(alice, ["agents:read"])).resolves.toBeDefined();
  });

  it("with a parent that was revoked a moment ago fails", async () => {
    const parent = await mint(alice, ["agents:read", "tokens:write"]);
    await store.database.query(sql`UPDATE access.tokens SET revoke_time = now()`);
    await expect(mint(parent.principal, ["agents:read"])).rejects.toThrow("CREDENTIAL_INVALID");
  });
});

describe("a token sinks with whoever made it", () => {
  it("when the maker is demoted or disabled, and rises again", async () => {
    const { secret, principal } = await mint(alice, ["agents:write"], { serviceAccountId: "ci" });
    const reach = (fixture: AccessFixture): string[] =>
      fixture.access.decide(principal, "agents", "write").agents.ids();
    expect(reach(there)).toEqual(["free"]);
    await storeMember(store.database, "alice", Role.VIEWER);
    await tellAll(store.database, [here, there]);
    expect(reach(there)).toEqual([]);
    expect(await verifies(there, secret)).toBe(true);

    await storeMember(store.database, "alice", Role.ADMIN, MemberState.DISABLED);
    await tellAll(store.database, [here, there]);
    for (const fixture of [here, there]) {
      expect(await verifies(fixture, secret)).toBe(false);
      expect(fixture.access.isCurrent(principal)).toBe(false);
    }
    await storeMember(store.database, "alice", Role.ADMIN);
    await tellAll(store.database, [here, there]);
    expect(await verifies(there, secret)).toBe(true);
    expect(there.access.isCurrent(principal)).toBe(true);
  });
});

describe("revoking", () => {
  it("ends the token and those made with it, on every gateway within a second", async () => {
    const parent = await mint(alice, ["agents:read", "tokens:write"]);
    const child = await mint(parent.principal, ["agents:read", "tokens:write"]);
    const grandchild = await mint(child.principal, ["agents:read"]);
    const other = await mint(alice, ["agents:read"]);
    for (const { secret, principal } of [parent, child, grandchild, other]) {
      expect(await verifies(there, secret)).toBe(true);
      expect(there.access.isCurrent(principal)).toBe(true);
    }
    let told = 0;
    const end = there.access.onChanged(() => (told += 1));
    const { token } = await here.as(alice).tokens.revokeToken({ accessor: parent.accessor });
    const start = performance.now();
    expect(token?.revokeTime).toBeDefined();
    for (const { secret, principal } of [parent, child, grandchild]) {
      expect(await verifies(here, secret)).toBe(false);
      expect(here.access.isCurrent(principal)).toBe(false);
      await waitFor(async () => !(await verifies(there, secret)), { what: "the revocation there", deadlineMs: 1000 });
      expect(there.access.isCurrent(principal)).toBe(false);
    }
    expect(performance.now() - start).toBeLessThan(1000);
    expect(told).toBeGreaterThanOrEqual(3);
    end();
    expect(await verifies(there, other.secret)).toBe(true);
    const trail = await auditOf(store.database);
    expect(trail.slice(-3).toSorted()).toEqual(
      [parent, child, grandchild].map(({ accessor }) => `tokens.revoke token/${accessor}`).toSorted(),
    );

    const again = await here.as(alice).tokens.revokeToken({ accessor: parent.accessor });
    expect(again.token?.revokeTime).toEqual(token?.revokeTime);
    expect(await auditOf(store.database)).toEqual(trail);
  });

  it("of all that somebody has and has made leaves nothing for the next of that id", async () => {
    const own = await mint(alice, ["agents:read"]);
    const made = await mint(alice, ["agents:read"], { serviceAccountId: "ci" });
    const others = await mint(bob, ["agents:read"]);
    await store.database.transaction((tx) => revokeTokensOf(tx, member("alice")));
    for (const { secret } of [own, made]) {
      await waitFor(async () => !(await verifies(here, secret)), { what: "the revocation", deadlineMs: 1000 });
    }
    expect(await verifies(here, others.secret)).toBe(true);
  });

  it("is for one's own; what others have does not exist", async () => {
    const ofAlice = await mint(alice, ["agents:read"]);
    const ofBob = await mint(bob, ["agents:read"]);
    const words = async (accessor: string): Promise<string> =>
      String(
        await here
          .as(bob)
          .tokens.revokeToken({ accessor })
          .catch((error: unknown) => error),
      ).replace(accessor, "X");
    expect(await words(ofAlice.accessor)).toContain("TOKEN_NOT_FOUND");
    expect(await words(ofAlice.accessor)).toBe(await words("acc_0000000000000000"));
    await here.as(bob).tokens.revokeToken({ accessor: ofBob.accessor });
    expect(await verifies(here, ofAlice.secret)).toBe(true);
    await here.as(alice).tokens.revokeToken({ accessor: ofAlice.accessor });
    expect(await verifies(here, ofAlice.secret)).toBe(false);
  });
});

describe("the token of a login", () => {
  it("has the rights of its member, makes tokens as a person does, and can be ended with all other logins", async () => {
    const login = (who: SubjectRef): Promise<string> =>
      store.database.transaction(async (tx) => (await issueLoginToken(tx, hash, browser(who), "laptop")).secret);
    const [first, second] = [await login(member("alice")), await login(member("alice"))];
    const principal = await here.access.verifyToken(first, ADDRESS);
    if (principal === undefined) throw new Error("no principal");
    expect(here.access.decide(principal, "members", "write").unnarrowed).toBe(true);
    const made = await mint(principal, ["agents:read"]);
    const accessor = principal.credential.kind === "token" ? principal.credential.accessor : "";
    await store.database.transaction((tx) =>
      revokeTokensOf(tx, member("alice"), { loginOnly: true, except: accessor }),
    );
    await waitFor(async () => !(await verifies(here, second)), {
      what: "the end of the other login",
      deadlineMs: 1000,
    });
    expect([await verifies(here, first), await verifies(here, made.secret)]).toEqual([true, true]);
  });
});

describe("a list", () => {
  it("is newest first, in pages, and shows who is no admin the own ones only", async () => {
    const made: string[] = [];
    for (const who of [alice, bob, alice, bob, bob]) made.push((await mint(who, ["agents:read"])).accessor);
    const all: string[] = [];
    let pageToken = "";
    do {
      const page = await here.as(alice).tokens.listTokens({ pageSize: 2, pageToken });
      all.push(...page.tokens.map(({ accessor }) => accessor));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(all.toSorted()).toEqual(made.toSorted());
    const own = async (includeEnded: boolean): Promise<string[]> =>
      (await here.as(bob).tokens.listTokens({ includeEnded })).tokens.map(({ accessor }) => accessor).toSorted();
    const pick = (...places: number[]): string[] => made.filter((_, i) => places.includes(i)).toSorted();
    expect(await own(false)).toEqual(pick(1, 3, 4));
    await here.as(bob).tokens.revokeToken({ accessor: made[3] ?? "" });
    expect(await own(false)).toEqual(pick(1, 4));
    expect(await own(true)).toEqual(pick(1, 3, 4));
    await expect(here.as(bob).tokens.listTokens({ pageToken: "nonsense" })).rejects.toThrow("PAGE_TOKEN_INVALID");

    await mint(alice, ["agents:read"], { serviceAccountId: "ci" });
    const ofAccount = async (who: Principal): Promise<number> =>
      (await here.as(who).tokens.listTokens({ serviceAccountId: "ci" })).tokens.length;
    expect([await ofAccount(alice), await ofAccount(bob)]).toEqual([1, 0]);
  });

  it("of scopes says which role holds each, what its selector names, and which methods it opens", async () => {
    const { scopes } = await here.as(bob).tokens.listScopes({});
    expect(scopes.find(({ scope }) => scope === "agents:write")).toMatchObject({
      selector: "agent",
      role: Role.OPERATOR,
      methods: ["fleet.FleetService/GetAgent", "fleet.FleetService/UpdateAgent"],
    });
    expect(scopes.map(({ scope }) => scope)).toEqual(scopes.map(({ scope }) => scope).toSorted());
  });
});

it("keeps ended tokens for 30 days", async () => {
  const { accessor } = await mint(alice, ["agents:read"]);
  await here.as(alice).tokens.revokeToken({ accessor });
  expect(await deleteOldTokens(store.database)).toBe(0);
  await store.database.query(sql`UPDATE access.tokens SET revoke_time = now() - interval '31 days'`);
  expect(await deleteOldTokens(store.database)).toBe(1);
});

it("refuses to start with another pepper, and a new token of one pepper is none of another", async () => {
  await expect(startAccess(store.database, { pepper: "x".repeat(32) })).rejects.toMatchObject({
    reason: "PEPPER_DIFFERS",
  });
  const { secret } = await mint(operator, ["agents:read"]);
  expect(await verifies(there, secret)).toBe(true);
});
