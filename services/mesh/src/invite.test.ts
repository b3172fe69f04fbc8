import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import type { Caller } from "@openhermit/caller";
import { notFound } from "@openhermit/errors";
import { createDatabase, sql, type Database } from "@openhermit/postgres";
import { EnrollmentService } from "@openhermit/protocol/mesh/v1/enrollment_service";
import { testDatabase, testLog, type TestDatabase } from "@openhermit/testing";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { meshMigrations } from "./index.ts";
import { startTestGateway, type TestGateway } from "./test/test-gateway.ts";
import { createTestSidecar, type TestSidecar } from "./test/test-sidecar.ts";

/** Agents by team; what no team has is everybody's. */
const TEAMS: Readonly<Record<string, string>> = { one: "red", two: "red", three: "blue" };
const person = (name: string, team: string): Caller => ({
  kind: "principal",
  name: `member:${name}`,
  agents: {
    all: team === "all",
    has: (id) => team === "all" || TEAMS[id] === undefined || TEAMS[id] === team,
    ids: () => [],
  },
  mayOwnFor: () => false,
});
const PEOPLE = { ann: person("ann", "red"), bob: person("bob", "blue"), root: person("root", "all") };

let db: TestDatabase;
let otherDatabase: Database;
let gateway: TestGateway;
let other: TestGateway;
const sidecars: TestSidecar[] = [];

beforeAll(async () => {
  db = await testDatabase([meshMigrations]);
  otherDatabase = createDatabase({ url: db.url, log: testLog(), applicationName: "other gateway" });
  const ports: Parameters<typeof startTestGateway>[0]["ports"] = {
    async mayJoinExternally(agentIds, reach) {
      for (const id of agentIds) if (!reach.has(id)) throw notFound("AGENT_NOT_FOUND", `agent "${id}" does not exist`);
    },
  };
  gateway = await startTestGateway({ database: db.database, people: PEOPLE, ports });
  other = await startTestGateway({ database: otherDatabase, gatewayId: "gateway-b", people: PEOPLE, ports });
});
beforeEach(async () => {
  gateway.trail.length = 0;
  await db.database.query(sql`TRUNCATE mesh.join_tokens, mesh.sidecars`);
});
afterAll(async () => {
  for (const sidecar of sidecars) sidecar.close();
  await gateway.stop();
  await other.stop();
  await otherDatabase.end();
  await db.drop();
});

async function invite(who: keyof typeof PEOPLE, sidecarId: string, agentIds: string[], at = gateway): Promise<string> {
  const client = createClient(EnrollmentService, createGrpcTransport({ baseUrl: at.url }));
  const { joinToken } = await client.createJoinToken({ sidecarId, agentIds }, { headers: { "x-test-caller": who } });
  return joinToken;
}

async function join(sidecarId: string, joinToken: string): Promise<void> {
  const sidecar = createTestSidecar({ id: sidecarId, url: gateway.url });
  sidecars.push(sidecar);
  await sidecar.join(joinToken);
}

const refusal = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "accepted",
    (error: unknown) => {
      const { code, metadata } = ConnectError.from(error);
      return `${Code[code]} ${metadata.get("reason") ?? ""}`;
    },
  );
const storedTokens = async (): Promise<number> => (await db.database.query(sql`SELECT FROM mesh.join_tokens`)).rowCount;

test("an invite is for agents in reach only, and leaves nothing behind otherwise", async () => {
  expect(await refusal(invite("ann", "pool", ["one", "three"]))).toBe("NotFound AGENT_NOT_FOUND");
  expect(await storedTokens()).toBe(0);
  expect(gateway.trail).toEqual([]);
  expect(await refusal(invite("ann", "pool", ["one", "two"]))).toBe("accepted");
});

test("nobody takes the sidecar of others: not one that has joined, one that is invited, nor one named like an agent", async () => {
  await join("pool", await invite("bob", "pool", ["three"]));
  expect(await refusal(invite("ann", "pool", ["one"]))).toBe("AlreadyExists SIDECAR_EXISTS");
  await invite("bob", "next", ["three"]);
  expect(await refusal(invite("ann", "next", ["one"]))).toBe("AlreadyExists SIDECAR_EXISTS");
  // The gateway names the sidecars it starts for their agents.
  expect(await refusal(invite("ann", "three", ["one"]))).toBe("AlreadyExists SIDECAR_EXISTS");
  expect(await refusal(invite("bob", "pool", ["three"]))).toBe("accepted");
  expect(await refusal(invite("root", "pool", ["one"]))).toBe("accepted");
  // An invite that nobody has used in time holds no name.
  await db.database.query(sql`UPDATE mesh.join_tokens SET expire_time = now() - interval '1 second'`);
  expect(await refusal(invite("ann", "next", ["one"]))).toBe("accepted");
});

test("of two teams that invite one sidecar at once, at two gateways, one wins", async () => {
  const answers = await Promise.all(
    Array.from({ length: 6 }, (_, index) =>
      index % 2 === 0 ? refusal(invite("ann", "raced", ["one"])) : refusal(invite("bob", "raced", ["three"], other)),
    ),
  );
  const [ann, bob] = [0, 1].map((start) => new Set(answers.filter((_, index) => index % 2 === start)));
  expect([ann, bob].map((set) => [...(set ?? [])])).toContainEqual(["accepted"]);
  expect([ann, bob].map((set) => [...(set ?? [])])).toContainEqual(["AlreadyExists SIDECAR_EXISTS"]);
});

test("an invite and a join are recorded, once each, and the token stands in no record and no log", async () => {
  const joinToken = await invite("ann", "pool", ["one", "two"]);
  await join("pool", joinToken);
  expect(await refusal(join("pool", joinToken))).toBe("Unauthenticated JOIN_TOKEN_INVALID");
  const fields = [{ path: "agents", before: "", after: "one, two" }];
  const target = { targetType: "sidecar", targetId: "pool", fields };
  expect(gateway.trail).toEqual([
    { by: "member:ann", action: "sidecars.invite", ...target },
    { by: "sidecar:pool", action: "sidecars.join", ...target },
  ]);
  const secret = joinToken.slice(8);
  expect(JSON.stringify([gateway.trail, gateway.log.records()])).not.toContain(secret);
});

test("the sidecars that the gateway starts itself are invited without a record", async () => {
  const { joinToken } = await gateway.mesh.createJoinToken("three", ["three"]);
  expect(gateway.trail).toEqual([]);
  await join("three", joinToken);
  expect(gateway.trail.map(({ action }) => action)).toEqual(["sidecars.join"]);
});
