import { sql } from "@openhermit/postgres";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { reasonOf, sessionsFixture, turnOf } from "./test/sessions-fixture.ts";
import { scriptOf } from "./test/simulated-sidecar.ts";
import { send } from "./test/test-gateway.ts";

const fixture = sessionsFixture({ beforeAll, afterEach, afterAll });

test("sessions are listed newest first, page by page, each once, also when many were sent to at the same time", async () => {
  const gateway = fixture.gateway();
  const [agentId, otherAgent] = [fixture.newAgent(), fixture.newAgent()];
  for (let i = 0; i < 12; i++) await turnOf(send(gateway, i % 3 === 2 ? otherAgent : agentId, `message ${i}`));
  await fixture.database.query(sql`UPDATE sessions.sessions SET send_time = '2026-01-01 12:00:00.123456Z'
    WHERE title IN ('message 3', 'message 4', 'message 6', 'message 7', 'message 5')`);
  const pages = async (filter: string): Promise<string[]> => {
    const titles: string[] = [];
    let pageToken = "";
    do {
      const page = await gateway.client.listSessions({ agentId: filter, pageSize: 3, pageToken });
      titles.push(...page.sessions.map(({ title }) => title));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return titles;
  };
  const mine = await pages(agentId);
  expect(mine.slice(0, 4)).toEqual(["message 10", "message 9", "message 1", "message 0"]);
  expect(new Set(mine).size).toBe(8);
  expect(mine).toHaveLength(8);
  expect(new Set(await pages(""))).toEqual(new Set(Array.from({ length: 12 }, (_, i) => `message ${i}`)));
  for (const pageToken of ["x", Buffer.from(`2026-01-01 12:00:00Z ${"x".repeat(36)}`).toString("base64url")]) {
    expect(await reasonOf(gateway.client.listSessions({ pageToken }))).toBe("PAGE_TOKEN_INVALID");
  }
});

test("a session's last activity is its last message or the end of a turn, whichever is later", async () => {
  const { gateway, agentId, sidecar } = await fixture.attached();
  const stream = send(gateway, agentId, "hello");
  const run = await sidecar.offer(0);
  const before = (await gateway.client.getSession({ sessionId: run.sessionId })).session;
  await sidecar.publish(scriptOf(run).running(), scriptOf(run).end(TurnState.SUCCEEDED));
  await stream.done;
  await fixture.database.query(
    sql`UPDATE sessions.turns SET end_time = now() + interval '1 hour' WHERE id = ${run.turnId}::uuid`,
  );
  const after = (await gateway.client.getSession({ sessionId: run.sessionId })).session;
  expect((after?.lastActivityTime?.seconds ?? 0n) - (before?.lastActivityTime?.seconds ?? 0n)).toBeGreaterThan(3500n);
});

test("what does not exist is not found, whatever its id looks like", async () => {
  const { client } = fixture.gateway();
  for (const id of [crypto.randomUUID(), "no uuid", "' OR 1=1"]) {
    expect(await reasonOf(client.getSession({ sessionId: id }))).toBe("SESSION_NOT_FOUND");
    expect(await reasonOf(client.listTranscript({ sessionId: id }))).toBe("SESSION_NOT_FOUND");
    expect(await reasonOf(client.getTurn({ turnId: id }))).toBe("TURN_NOT_FOUND");
    expect(await reasonOf(client.cancelTurn({ turnId: id }))).toBe("TURN_NOT_FOUND");
  }
});

test("a sidecar reads the transcripts of its own agents only", async () => {
  const { gateway, agentId, sidecar } = await fixture.attached();
  send(gateway, agentId, "hello");
  const run = await sidecar.offer(0);
  await sidecar.publish(scriptOf(run).user());
  const read = async (agents: string[], after = 0n): Promise<number> =>
    (await gateway.service.readTranscript(agents, run.sessionId, after)).entries.length;
  expect(await read([agentId, "other"])).toBe(1);
  expect(await read([agentId], 1n)).toBe(0);
  expect(await read(["other"])).toBe(0);
  expect((await gateway.service.readTranscript([agentId], "no uuid", 0n)).entries).toEqual([]);
});
