import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { createDatabase, sql, type Database } from "@openhermit/postgres";
import { EnrollmentService } from "@openhermit/protocol/mesh/v1/enrollment_service";
import { testDatabase, testLog, waitFor, type TestDatabase } from "@openhermit/testing";
import { SignJWT } from "jose";
import { generateKeyPairSync } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { meshMigrations } from "./index.ts";
import { startTestGateway, type TestGateway } from "./test/test-gateway.ts";
import { createTestSidecar, endOf, type TestSidecar } from "./test/test-sidecar.ts";

let db: TestDatabase;
let otherDatabase: Database;
let gateway: TestGateway;
let other: TestGateway;
const sidecars: TestSidecar[] = [];

beforeAll(async () => {
  db = await testDatabase([meshMigrations]);
  otherDatabase = createDatabase({ url: db.url, log: testLog(), applicationName: "other gateway" });
  gateway = await startTestGateway({ database: db.database, gatewayId: "gateway-a" });
  other = await startTestGateway({ database: otherDatabase, gatewayId: "gateway-b" });
});

afterAll(async () => {
  for (const sidecar of sidecars) sidecar.close();
  await gateway.stop();
  await other.stop();
  await otherDatabase.end();
  await db.drop();
});

function newSidecar(id: string, url = gateway.url): TestSidecar {
  const sidecar = createTestSidecar({ id, url });
  sidecars.push(sidecar);
  return sidecar;
}

async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => ConnectError.from(thrown),
  );
  if (error === undefined) return "accepted";
  return `${Code[error.code]} ${error.metadata.get("reason") ?? error.message}`;
}

test("a sidecar joins at one gateway; its access token counts at every gateway, also after a key of its signer was new", async () => {
  const { joinToken, expireTime } = await gateway.mesh.createJoinToken("one", ["one", "two"]);
  expect(joinToken).toMatch(/^ohm_[0-9a-z]{8,}$/);
  expect(expireTime.getTime() - Date.now()).toBeGreaterThan(590_000);
  const sidecar = newSidecar("one");
  await sidecar.join(joinToken);
  const token = await sidecar.token();

  const expected = { sidecarId: "one", agentIds: ["one", "two"] };
  expect(await gateway.mesh.verifyAccessToken(token)).toMatchObject(expected);
  expect(await other.mesh.verifyAccessToken(token)).toMatchObject(expected);
  const verified = await other.mesh.verifyAccessToken(token);
  expect((verified?.expiresAt.getTime() ?? 0) - Date.now()).toBeLessThanOrEqual(300_000);

  // A gateway that starts now has a key that nobody knows yet, and makes a nonce for a join elsewhere.
  const third = await startTestGateway({ database: otherDatabase, gatewayId: "gateway-c" });
  try {
    const { nonce } = await createClient(EnrollmentService, createGrpcTransport({ baseUrl: third.url })).getNonce({});
    const proof = await sidecar.proof("token", nonce);
    const { accessToken } = await createClient(
      EnrollmentService,
      createGrpcTransport({ baseUrl: other.url }),
    ).issueToken({ proof });
    expect(await gateway.mesh.verifyAccessToken(accessToken)).toMatchObject(expected);
    const fromThird = await createTokenAt(third.url, sidecar);
    expect(await gateway.mesh.verifyAccessToken(fromThird)).toMatchObject(expected);
  } finally {
    await third.stop();
  }
});

async function createTokenAt(url: string, sidecar: TestSidecar): Promise<string> {
  const client = createClient(EnrollmentService, createGrpcTransport({ baseUrl: url }));
  const proof = await sidecar.proof("token", (await client.getNonce({})).nonce);
  return (await client.issueToken({ proof })).accessToken;
}

test("verifying a known token costs no statement", async () => {
  const sidecar = newSidecar("cheap");
  await sidecar.join((await gateway.mesh.createJoinToken("cheap", ["cheap"])).joinToken);
  const token = await sidecar.token();
  await gateway.mesh.verifyAccessToken(token);
  const before = db.database.statementCount();
  for (let i = 0; i < 20; i++) expect(await gateway.mesh.verifyAccessToken(token)).toBeDefined();
  expect(db.database.statementCount()).toBe(before);
});

test("of twenty joins with one token exactly one wins, and the token is used up", async () => {
  const { joinToken } = await gateway.mesh.createJoinToken("raced", ["raced"]);
  const racers = Array.from({ length: 20 }, (_, i) => newSidecar("raced", i % 2 === 0 ? gateway.url : other.url));
  const results = await Promise.all(racers.map((racer) => refusal(racer.join(joinToken))));
  expect(results.filter((result) => result === "accepted")).toHaveLength(1);
  expect(results.filter((result) => result === "Unauthenticated JOIN_TOKEN_INVALID")).toHaveLength(19);
  const winner = racers[results.indexOf("accepted")] as TestSidecar;
  expect(await refusal(winner.token())).toBe("accepted");
  expect(await refusal(winner.join(joinToken))).toBe("Unauthenticated JOIN_TOKEN_INVALID");
  for (const loser of racers.filter((racer) => racer !== winner).slice(0, 3)) {
    expect(await refusal(loser.token())).toBe("Unauthenticated KEY_UNKNOWN");
  }
});

test("an expired join token is refused, and only its hash is stored", async () => {
  const { joinToken } = await gateway.mesh.createJoinToken("late", ["late"]);
  const { rows } = await db.database.query<{ row: string }>(
    sql`SELECT row_to_json(t)::text AS row FROM mesh.join_tokens AS t WHERE sidecar_id = 'late'`,
  );
  expect(rows[0]?.row).not.toContain(joinToken.slice(8));
  await db.database.query(sql`UPDATE mesh.join_tokens SET expire_time = now() - interval '1 second'`);
  expect(await refusal(newSidecar("late").join(joinToken))).toBe("Unauthenticated JOIN_TOKEN_INVALID");
});

test("a nonce counts once, for one purpose, and only if a gateway made it", async () => {
  const sidecar = newSidecar("nonces");
  const client = createClient(EnrollmentService, createGrpcTransport({ baseUrl: gateway.url }));
  await sidecar.join((await gateway.mesh.createJoinToken("nonces", ["nonces"])).joinToken);

  const proof = await sidecar.proof("token");
  expect(await refusal(client.issueToken({ proof }))).toBe("accepted");
  expect(await refusal(client.issueToken({ proof }))).toBe("Unauthenticated KEY_UNKNOWN");
  const elsewhere = createClient(EnrollmentService, createGrpcTransport({ baseUrl: other.url }));
  expect(await refusal(elsewhere.issueToken({ proof }))).toBe("Unauthenticated KEY_UNKNOWN");

  const wrongPurpose = await sidecar.proof("join");
  expect(await refusal(client.issueToken({ proof: wrongPurpose }))).toBe("Unauthenticated PROOF_INVALID");

  const { nonce } = await client.getNonce({});
  const parts = nonce.split(".");
  for (const forged of [
    [parts[0], String(Number(parts[1]) + 60_000), parts[2], parts[3]].join("."),
    [parts[0], "1", parts[2], parts[3]].join("."),
    ["A".repeat(16), parts[1], parts[2], parts[3]].join("."),
    "nonsense",
  ]) {
    expect(await refusal(client.issueToken({ proof: await sidecar.proof("token", forged) }))).toBe(
      "Unauthenticated NONCE_INVALID",
    );
  }
});

test("tokens that no gateway signed, or that are for others, are not valid", async () => {
  const sidecar = newSidecar("forger");
  await sidecar.join((await gateway.mesh.createJoinToken("forger", ["forger"])).joinToken);
  const token = await sidecar.token();
  const [header = "", payload = "", signature = ""] = token.split(".");
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as Record<string, unknown>;
  const { kid } = JSON.parse(Buffer.from(header, "base64url").toString()) as { kid: string };
  const mine = generateKeyPairSync("ed25519").privateKey;
  const forged = await new SignJWT({ ...claims, sub: "one" }).setProtectedHeader({ alg: "EdDSA", kid }).sign(mine);
  const otherSub = Buffer.from(JSON.stringify({ ...claims, sub: "one" })).toString("base64url");
  const none = Buffer.from(JSON.stringify({ alg: "none", kid })).toString("base64url");
  for (const bad of [forged, `${header}.${otherSub}.${signature}`, `${none}.${payload}.`, "x", "", `${token}x`]) {
    expect(await gateway.mesh.verifyAccessToken(bad)).toBeUndefined();
  }
  expect(await gateway.mesh.verifyAccessToken(token)).toBeDefined();
});

test("a second join and a revocation end the older key's tokens and streams, on every gateway", async () => {
  const first = newSidecar("twice");
  await first.join((await gateway.mesh.createJoinToken("twice", ["twice"])).joinToken);
  const oldToken = await first.token();
  const { stream } = await first.attached();

  const second = newSidecar("twice", other.url);
  await second.join((await other.mesh.createJoinToken("twice", ["twice"])).joinToken);
  expect(await endOf(stream)).toEqual({ code: "Aborted", reason: "EPOCH_SUPERSEDED" });
  await waitFor(async () => (await gateway.mesh.verifyAccessToken(oldToken)) === undefined, {
    what: "the old token to die",
  });
  expect(await refusal(first.token())).toBe("Unauthenticated KEY_UNKNOWN");

  const attached = await second.attached();
  const newToken = await second.token();
  await gateway.mesh.revokeSidecars(["twice"]);
  expect(await endOf(attached.stream)).toEqual({ code: "Unauthenticated", reason: "SIDECAR_REVOKED" });
  await waitFor(async () => (await other.mesh.verifyAccessToken(newToken)) === undefined, { what: "the token to die" });
  expect(await refusal(second.token())).toBe("Unauthenticated KEY_UNKNOWN");

  // A new join brings it back.
  await second.join((await gateway.mesh.createJoinToken("twice", ["twice"])).joinToken);
  expect((await second.attached()).welcome.epoch).toBeGreaterThan(attached.welcome.epoch);
});

test("a key that another sidecar holds is refused, and the join token stays good", async () => {
  const sidecar = newSidecar("original");
  await sidecar.join((await gateway.mesh.createJoinToken("original", ["original"])).joinToken);
  const { joinToken } = await gateway.mesh.createJoinToken("copy", ["copy"]);
  expect(await refusal(sidecar.join(joinToken))).toBe("InvalidArgument KEY_IN_USE");
  expect(await refusal(newSidecar("copy").join(joinToken))).toBe("accepted");
});
