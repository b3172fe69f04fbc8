import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { isUuid } from "@openhermit/ids";
import { EventSchema, TurnEndSchema, type Event } from "@openhermit/protocol/activity/v1/event";
import { RefusalReason } from "@openhermit/protocol/mesh/v1/link_service";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { sql } from "@openhermit/postgres";
import { waitFor } from "@openhermit/testing";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { sessionsFixture, storedTurn, turnOf } from "./test/sessions-fixture.ts";
import { scriptOf, simulatedSidecar } from "./test/simulated-sidecar.ts";
import { send, STATES, type TestGateway } from "./test/test-gateway.ts";

const fixture = sessionsFixture({ beforeAll, afterEach, afterAll });

/** The events in short: `FAILURE reason`, `END state`. */
function brief(events: readonly Event[]): string[] {
  return events.map(({ detail }) => {
    if (detail.case === "failure") return `FAILURE ${detail.value.reason}`;
    return detail.case === "turnEnd" ? `END ${STATES[detail.value.state]}` : String(detail.case);
  });
}

const eventsOf = (gateways: readonly TestGateway[], turnId: string): Event[] =>
  gateways.flatMap(({ events }) => events.filter((event) => event.turnId === turnId));

test("a turn that is cancelled while it is queued shows its end, once, and no duration and usage that it never had", async () => {
  const gateway = fixture.gateway();
  const stream = send(gateway, fixture.newAgent(), "1", { chatId: "c" });
  const { id: turnId } = await turnOf(stream);
  await fixture.database.query(sql`
    UPDATE sessions.turns SET traceparent = ${`00-${"ab".repeat(16)}-${"cd".repeat(8)}-01`} WHERE id = ${turnId}::uuid`);
  await gateway.client.cancelTurn({ turnId });
  await gateway.client.cancelTurn({ turnId });
  await stream.done;
  const turn = await storedTurn(gateway, turnId);
  await gateway.close();
  expect(gateway.events).toHaveLength(1);
  const value = create(TurnEndSchema, { state: TurnState.CANCELLED });
  expect(gateway.events[0]).toEqual(
    create(EventSchema, {
      id: gateway.events[0]?.id ?? "",
      ...(turn.endTime && { time: turn.endTime }),
      agentId: turn.agentId,
      sessionId: turn.sessionId,
      turnId,
      userId: "operator",
      channel: "test",
      traceId: "ab".repeat(16),
      detail: { case: "turnEnd", value },
    }),
  );
  expect(isUuid(gateway.events[0]?.id ?? "")).toBe(true);
});

test("an interrupted turn shows the failure, and the end with what it used and how long it ran", async () => {
  const { gateway, agentId, sidecar } = await fixture.attached();
  const stream = send(gateway, agentId, "hello");
  const run = await sidecar.offer(0);
  await sidecar.publish(scriptOf(run).running(true));
  await fixture.database.query(
    sql`UPDATE sessions.turns SET start_time = now() - interval '3 seconds' WHERE id = ${run.turnId}::uuid`,
  );
  await sidecar.attach(gateway, []);
  await stream.done;
  await gateway.close();
  expect(brief(gateway.events)).toEqual(["FAILURE TURN_INTERRUPTED", "END INTERRUPTED"]);
  const [failure, end] = gateway.events.map(({ detail }) => detail);
  const { error } = await storedTurn(gateway, run.turnId);
  expect(failure?.value).toMatchObject({ source: "runtime", message: error?.message });
  if (end?.case !== "turnEnd" || end.value.duration === undefined) throw new Error("no duration");
  expect(end.value.usage).toMatchObject({ inputTokens: 3n, outputTokens: 2n, modelCalls: 1 });
  expect(durationMs(end.value.duration)).toBeGreaterThanOrEqual(3000);
  expect(durationMs(end.value.duration)).toBeLessThan(60_000);
});

test("an offer that nobody can carry out shows its failure, and one that was asked to end its end", async () => {
  const { gateway, agentId, sidecar } = await fixture.attached();
  const streams = [send(gateway, agentId, "full"), send(gateway, agentId, "cancelled")];
  const offers = [await sidecar.offer(0), await sidecar.offer(1)];
  for (const { turnId, message } of offers) {
    if (message === "cancelled") await gateway.client.cancelTurn({ turnId });
    const reason = message === "full" ? RefusalReason.OUTBOX_FULL : RefusalReason.BUSY;
    gateway.service.turnRefused(turnId, 1, reason, "no");
  }
  await Promise.all(streams.map((stream) => stream.done));
  await gateway.close();
  const shown = (message: string): string[] =>
    brief(eventsOf([gateway], offers.find((offer) => offer.message === message)?.turnId ?? ""));
  expect(shown("full")).toEqual(["FAILURE OUTBOX_FULL", "END FAILED"]);
  expect(shown("cancelled")).toEqual(["END CANCELLED"]);
});

test("an offer that was asked to end and whose sidecar left before it took it shows its end", async () => {
  const gateway = fixture.gateway({ timing: { acceptMs: 0, recoverPeriodMs: 10 } });
  const { agentId, sidecar } = await fixture.attached(gateway);
  const stream = send(gateway, agentId, "hello");
  const { turnId } = await sidecar.offer(0);
  sidecar.detach();
  await gateway.client.cancelTurn({ turnId });
  await gateway.service.start();
  await stream.done;
  await gateway.close();
  expect(brief(gateway.events)).toEqual(["END CANCELLED"]);
});

test("queued turns that will never run show why, those that wait or are ended by a sidecar show nothing", async () => {
  const gateway = fixture.gateway({
    timing: { dispatchPeriodMs: 10, recoverPeriodMs: 10, lostMs: 50, goneMs: 0, unreachableMs: 60_000 },
  });
  const [stopped, deleted, unreachable, waits] = Array.from({ length: 4 }, fixture.newAgent);
  const agents = [stopped, deleted, unreachable, waits].map((agentId) => agentId ?? "");
  const streams = agents.map((agentId) => send(gateway, agentId, "hello"));
  const turns = await Promise.all(streams.map(turnOf));
  const { agentId, sidecar } = await fixture.attached(gateway);
  const ended = send(gateway, agentId, "hello");
  await sidecar.publish(scriptOf(await sidecar.offer(0)).end(TurnState.FAILED));
  await ended.done;
  gateway.agentStates.set(turns[0]?.agentId ?? "", "stopped").set(turns[1]?.agentId ?? "", "unknown");
  await fixture.database.query(
    sql`UPDATE sessions.turns SET queue_time = now() - interval '2 minutes' WHERE id = ${turns[2]?.id}::uuid`,
  );
  await gateway.service.start();
  await Promise.all(streams.slice(0, 3).map((stream) => stream.done));
  await gateway.close();
  expect(turns.map(({ id }) => brief(eventsOf([gateway], id)))).toEqual([
    ["FAILURE AGENT_STOPPED", "END FAILED"],
    ["FAILURE AGENT_NOT_FOUND", "END FAILED"],
    ["FAILURE AGENT_UNREACHABLE", "END FAILED"],
    [],
  ]);
  expect(gateway.events).toHaveLength(6);
});

test("of gateways that end the same turns at once only the one whose statement did shows it", async () => {
  const quick = { recoverPeriodMs: 5, lostMs: 50, strayMs: 50, dispatchPeriodMs: 5, followPeriodMs: 5, goneMs: 0 };
  const timing = { timing: quick };
  const gateways = [fixture.gateway(timing), fixture.gateway(timing), fixture.gateway(timing)];
  const owner = fixture.gateway();
  const { agentId, sidecar } = await fixture.attached(owner);
  const gone = fixture.newAgent();
  const running = Array.from({ length: 20 }, (_, i) => send(owner, agentId, `${i}`));
  const queued = await Promise.all(Array.from({ length: 20 }, (_, i) => turnOf(send(owner, gone, `${i}`))));
  const cancelled = await Promise.all(Array.from({ length: 20 }, () => turnOf(send(owner, fixture.newAgent(), "x"))));
  for (let i = 0; i < 20; i++) await sidecar.publish(scriptOf(await sidecar.offer(i)).running(true));
  const interrupted = await Promise.all(running.map(turnOf));
  sidecar.detach();
  for (const gateway of gateways) gateway.agentStates.set(gone, "stopped");
  await Promise.all([
    ...gateways.map((gateway) => gateway.service.start()),
    ...cancelled.flatMap(({ id }) => gateways.map((gateway) => gateway.client.cancelTurn({ turnId: id }))),
  ]);
  const all = [...interrupted, ...queued, ...cancelled];
  for (const { id } of all) {
    await waitFor(async () => (await storedTurn(owner, id)).endTime, { what: "the end" });
    // Who has not ended it reads it all the same.
    for (const gateway of gateways) await gateway.client.cancelTurn({ turnId: id });
  }
  await Promise.all(gateways.map((gateway) => gateway.close()));
  const shown = (turns: readonly { id: string }[]): string[][] =>
    turns.map(({ id }) => brief(eventsOf([owner, ...gateways], id)));
  expect(shown(interrupted)).toEqual(interrupted.map(() => ["FAILURE TURN_INTERRUPTED", "END INTERRUPTED"]));
  expect(shown(queued)).toEqual(queued.map(() => ["FAILURE AGENT_STOPPED", "END FAILED"]));
  expect(shown(cancelled)).toEqual(cancelled.map(() => ["END CANCELLED"]));
});

test("an activity log that hangs or refuses holds up no end, and what it refuses is logged", async () => {
  const { promise: refusal, reject: refuse } = Promise.withResolvers<void>();
  const gateway = fixture.gateway({ beforeEvents: () => refusal });
  const agentId = fixture.newAgent();
  const [first, second] = [send(gateway, agentId, "1", { chatId: "c" }), send(gateway, agentId, "2", { chatId: "c" })];
  const ids = [(await turnOf(first)).id, (await turnOf(second)).id];
  await gateway.client.cancelTurn({ turnId: ids[0] ?? "" });
  await first.done;
  const sidecar = simulatedSidecar([agentId]);
  await sidecar.attach(gateway);
  expect((await sidecar.offer(0)).turnId).toBe(ids[1]);
  refuse(new Error("the disk is full"));
  await gateway.close();
  expect(gateway.events).toEqual([]);
  const warnings = gateway.log.records().filter(({ level }) => level === 40);
  expect(warnings).toMatchObject([{ msg: "ends of turns not in the activity log", turns: 1, turn_ids: [ids[0]] }]);
});
