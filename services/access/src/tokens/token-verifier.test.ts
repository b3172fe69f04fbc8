import { newToken } from "@openhermit/ids";
import { sql, type Database } from "@openhermit/postgres";
import { testLog, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { accessDatabase, clearAccess, member } from "../test/access-database.ts";
import { browser } from "../test/access-fixture.ts";
import { issueToken, type NewToken } from "./issue-token.ts";
import { openTokenHash, type TokenHash } from "./token-hash.ts";
import { createTokenUses, type TokenUses } from "./token-uses.ts";
import { createTokenVerifier, type TokenVerifier } from "./token-verifier.ts";

let store: TestDatabase;
let hash: TokenHash;
let uses: TokenUses;
let time: number;
let reliable: boolean;

beforeAll(async () => {
  store = await accessDatabase();
  hash = await openTokenHash(store.database, "");
});
afterAll(() => store.drop());
beforeEach(async () => {
  await clearAccess(store.database);
  uses = createTokenUses({ database: store.database, log: testLog() });
  time = Date.now();
  reliable = true;
});

const verifierOf = (database: Database = store.database, maxKept = 100): TokenVerifier =>
  createTokenVerifier({
    database,
    hash,
    uses,
    isReliable: () => reliable,
    mayAct: () => true,
    onEnded: () => undefined,
    maxKept,
    now: () => time,
  });
const issue = (): Promise<NewToken> =>
  issueToken(store.database, hash, async () => undefined, {
    maker: browser(member("alice")),
    subject: member("alice"),
    name: "",
    scopes: [{ resource: "agents", selector: "", verb: "read" }],
    ttlMs: 3_600_000,
  });
const lastUse = async (): Promise<{ time: Date | null; address: string } | undefined> => {
  const { rows } = await store.database.query<{ time: Date | null; address: string }>(
    sql`SELECT last_use_time AS time, last_use_address AS address FROM access.tokens`,
  );
  return rows[0];
};

describe("the memory of verdicts", () => {
  it("asks the database once for a token, also for one that is unknown, and never for what is no token", async () => {
    const verifier = verifierOf();
    const { secret } = await issue();
    const unknown = newToken();
    const before = store.database.statementCount();
    await Promise.all([verifier.verify(secret, ""), verifier.verify(secret, ""), verifier.verify(unknown, "")]);
    for (let i = 0; i < 20; i += 1) {
      expect(await verifier.verify(secret, "")).toBeDefined();
      expect(await verifier.verify(unknown, "")).toBeUndefined();
      expect(await verifier.verify("ohm_0123", "")).toBeUndefined();
    }
    expect(store.database.statementCount() - before).toBe(2);
  });

  it("is bounded, whatever is tried", async () => {
    const verifier = verifierOf(store.database, 5);
    const made = await Promise.all(Array.from({ length: 12 }, issue));
    for (const { secret } of made) expect(await verifier.verify(secret, "")).toBeDefined();
    for (let i = 0; i < 30; i += 1) expect(await verifier.verify(newToken(), "")).toBeUndefined();
    expect(verifier.size).toBeLessThanOrEqual(10);
    expect(await verifier.verify(made[0]?.secret ?? "", "")).toBeDefined();
  });

  it("does not outlive the token", async () => {
    const verifier = verifierOf();
    const { secret, token } = await issue();
    expect(await verifier.verify(secret, "")).toBeDefined();
    expect(verifier.isCurrent(token.accessor, token.expireTime)).toBe(true);
    time = token.expireTime.getTime();
    expect(await verifier.verify(secret, "")).toBeUndefined();
    expect(verifier.isCurrent(token.accessor, token.expireTime)).toBe(false);
  });

  it("does not count when it can't be trusted", async () => {
    const verifier = verifierOf();
    const { secret } = await issue();
    await verifier.verify(secret, "");
    reliable = false;
    await expect(verifier.verify(secret, "")).rejects.toMatchObject({
      code: "unavailable",
      reason: "ACCESS_UNAVAILABLE",
    });
    reliable = true;
    expect(await verifier.verify(secret, "")).toBeDefined();
  });

  it.each([
    ["revoked", (verifier: TokenVerifier, accessor: string) => verifier.forget(accessor)],
    ["perhaps revoked", (verifier: TokenVerifier) => verifier.doubt()],
  ])("does not keep what was %s while it was read", async (_what, tell) => {
    const { secret, token } = await issue();
    const gate = Promise.withResolvers<void>();
    let asked = 0;
    const slow: Database = {
      ...store.database,
      async query(statement) {
        asked += 1;
        const result = await store.database.query(statement);
        await gate.promise;
        return result as never;
      },
    };
    const verifier = verifierOf(slow);
    const answer = verifier.verify(secret, "");
    await waitFor(() => asked === 1, { what: "the reading" });
    await store.database.query(sql`UPDATE access.tokens SET revoke_time = now()`);
    tell(verifier, token.accessor);
    gate.resolve();
    await answer;
    expect(await verifier.verify(secret, "")).toBeUndefined();
  });

  it("learns of revocations that it was not told", async () => {
    const ended: string[] = [];
    const verifier = createTokenVerifier({
      database: store.database,
      hash,
      uses,
      isReliable: () => true,
      mayAct: () => true,
      onEnded: (accessor) => void ended.push(accessor),
    });
    const [kept, lost] = [await issue(), await issue()];
    for (const { secret, token } of [kept, lost]) {
      expect(await verifier.verify(secret, "")).toBeDefined();
      expect(verifier.isCurrent(token.accessor, token.expireTime)).toBe(true);
    }
    await store.database.query(
      sql`UPDATE access.tokens SET revoke_time = now() WHERE accessor = ${lost.token.accessor}`,
    );
    verifier.doubt();
    expect(await verifier.verify(lost.secret, "")).toBeUndefined();
    await verifier.recheck();
    expect(ended).toEqual([lost.token.accessor]);
    expect(verifier.isCurrent(lost.token.accessor, lost.token.expireTime)).toBe(false);
    expect(verifier.isCurrent(kept.token.accessor, kept.token.expireTime)).toBe(true);
  });
});

describe("the last use", () => {
  it("is stored about a second after the first, and then at most once a minute", async () => {
    const verifier = verifierOf();
    const { secret } = await issue();
    const start = performance.now();
    await verifier.verify(secret, "192.0.2.1");
    await waitFor(async () => (await lastUse())?.time, { what: "the first use", deadlineMs: 3000 });
    expect(performance.now() - start).toBeLessThan(3000);
    expect(await lastUse()).toEqual({ time: new Date(time), address: "192.0.2.1" });

    const first = time;
    time += 59_000;
    await verifier.verify(secret, "192.0.2.2");
    // Another gateway, which does not know of the first use.
    await uses.close();
    uses = createTokenUses({ database: store.database, log: testLog() });
    await verifierOf().verify(secret, "192.0.2.3");
    await uses.close();
    expect(await lastUse()).toEqual({ time: new Date(first), address: "192.0.2.1" });

    uses = createTokenUses({ database: store.database, log: testLog() });
    time = first + 61_000;
    await verifierOf().verify(secret, "192.0.2.4");
    await uses.close();
    expect(await lastUse()).toEqual({ time: new Date(time), address: "192.0.2.4" });
  });

  it("is not stored again by a gateway that did not know of it", async () => {
    const { token } = await issue();
    const { accessor } = token;
    const note = async (offsetMs: number, address: string): Promise<void> => {
      const other = createTokenUses({ database: store.database, log: testLog() });
      other.note({ accessor, time: new Date(time + offsetMs), address });
      await other.close();
    };
    await note(0, "192.0.2.1");
    await note(30_000, "192.0.2.2");
    expect(await lastUse()).toEqual({ time: new Date(time), address: "192.0.2.1" });
    await note(60_000, "192.0.2.3");
    expect(await lastUse()).toEqual({ time: new Date(time + 60_000), address: "192.0.2.3" });
  });

  it("of many tokens is one statement, and waits while the database is away", async () => {
    let away = true;
    const flaky: Database = {
      ...store.database,
      query: (statement) => (away ? Promise.reject(new Error("away")) : (store.database.query(statement) as never)),
    };
    const flakyUses = createTokenUses({ database: flaky, log: testLog() });
    const made = await Promise.all(Array.from({ length: 20 }, issue));
    for (const { token } of made) flakyUses.note({ accessor: token.accessor, time: new Date(time), address: "" });
    await flakyUses.close();
    away = false;
    const before = store.database.statementCount();
    await flakyUses.close();
    expect(store.database.statementCount() - before).toBe(1);
    const { rows } = await store.database.query(sql`SELECT 1 FROM access.tokens WHERE last_use_time IS NOT NULL`);
    expect(rows).toHaveLength(20);
  });
});
