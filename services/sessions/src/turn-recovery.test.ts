import { RefusalReason } from "@openhermit/protocol/mesh/v1/link_service";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { sql } from "@openhermit/postgres";
import { waitFor } from "@openhermit/testing";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { sessionsFixture, storedTurn, turnOf } from "./test/sessions-fixture.ts";
import { heldAnswers } from "./test/held-answers.ts";
import { scriptOf, simulatedSidecar } from "./test/simulated-sidecar.ts";
import { brief, send, testGateway, QUIET } from "./test/test-gateway.ts";

const fixture = sessionsFixture({ beforeAll, afterEach, afterAll });

describe("a sidecar that attaches again", () => {
  test.each(["still running", "queued again"])("goes on with the turn in its ledger that is %s", async (meanwhile) => {
    const { gateway, agentId, sidecar } = await fixture.attached();
    const stream = send(gateway, agentId, "hello");
    const run = await sidecar.offer(0);
    const said = scriptOf(run);
    await sidecar.publish(said.running(), said.user());
    sidecar.detach();
    if (meanwhile === "queued again") {
      await fixture.database.query(
        sql`UPDATE sessions.turns SET state = 1, start_time = NULL WHERE id = ${run.turnId}::uuid`,
      );
    }
    const { deadTurnIds } = await sidecar.attach(gateway, [{ turnId: run.turnId, attempt: 1 }]);
    expect(deadTurnIds).toEqual([]);
    await sidecar.publish(said.step(1, "hi"), said.end(TurnState.SUCCEEDED, "hi"));
    await stream.done;
    expect(stream.turn()).toMatchObject({ state: TurnState.SUCCEEDED, attempt: 1, answer: "hi" });
    expect(sidecar.offers).toHaveLength(1);
    expect(await storedTurn(gateway, run.turnId)).toMatchObject({
      state: TurnState.SUCCEEDED,
      attempt: 1,
      answer: "hi",
    });
  });

  test("shows the step it was in only when it is complete, since some of its text was not seen", async () => {
    const { gateway, agentId, sidecar } = await fixture.attached();
    const stream = send(gateway, agentId, "hello");
    const run = await sidecar.offer(0);
    const said = scriptOf(run);
    await sidecar.publish(said.running(), said.user());
    sidecar.show(run, 1, "a ");
    await sidecar.attach(gateway, [{ turnId: run.turnId, attempt: 1 }]);
    sidecar.show(run, 1, "c");
    await sidecar.publish(said.step(1, "a b c"));
    sidecar.show(run, 2, "d");
    await sidecar.publish(said.step(2, "d"), said.end(TurnState.SUCCEEDED, "d"));
    await stream.done;
    expect(brief(stream.events).slice(2)).toEqual(["delta:a ", "step:a b c", "delta:d", "step:d", "turn:SUCCEEDED/1"]);
  });

  test("without it gets it offered again as the next attempt, and the text of the lost one is taken back", async () => {
    const { gateway, agentId, sidecar } = await fixture.attached();
    const stream = send(gateway, agentId, "hello");
    const run = await sidecar.offer(0);
    await sidecar.publish(scriptOf(run).running(), scriptOf(run).user());
    sidecar.show(run, 1, "half an ans");
    await sidecar.attach(gateway, []);
    const again = await sidecar.offer(1);
    expect(again).toMatchObject({ turnId: run.turnId, attempt: 2, transcriptHead: 1n, message: "hello" });
    sidecar.show(run, 1, "of the lost attempt");
    const said = scriptOf(again);
    sidecar.show(again, 1, "whole");
    await sidecar.publish(said.running(), said.step(1, "whole"), said.end(TurnState.SUCCEEDED, "whole"));
    await stream.done;
    expect(brief(stream.events)).toEqual([
      "turn:OFFERED/1",
      "turn:RUNNING/1",
      "delta:half an ans",
      "snapshot:",
      "turn:QUEUED/1",
      "turn:OFFERED/2",
      "delta:whole",
      "step:whole",
      "turn:SUCCEEDED/2",
    ]);
  });

  test("without it after a tool had started: interrupted, and never offered again", async () => {
    const { gateway, agentId, sidecar } = await fixture.attached();
    const stream = send(gateway, agentId, "hello", { chatId: "c" });
    const waiting = send(gateway, agentId, "next", { chatId: "c" });
    const run = await sidecar.offer(0);
    await turnOf(waiting);
    const said = scriptOf(run);
    await sidecar.publish(said.running(), said.user(), said.step(1, "", ["a"]), said.running(true));
    await sidecar.attach(gateway, []);
    const lost = run.message === "hello" ? stream : waiting;
    await lost.done;
    expect(lost.turn()).toMatchObject({
      state: TurnState.INTERRUPTED,
      error: { reason: "TURN_INTERRUPTED", retryable: false },
    });
    const after = await sidecar.offer(1);
    expect(after.turnId).not.toBe(run.turnId);
    // What the lost attempt still says changes nothing, and is not shown as if it did.
    await sidecar.publish(said.step(2, "too late"), said.end(TurnState.SUCCEEDED, "too late"));
    expect(await storedTurn(gateway, run.turnId)).toMatchObject({ state: TurnState.INTERRUPTED, answer: "" });
    const { entries } = await gateway.client.listTranscript({ sessionId: run.sessionId });
    expect(entries.map(({ position }) => position)).toEqual([1n, 2n]);
  });

  test("is told which of its turns are dead: ended, of another attempt, unknown; and gets nothing of other agents", async () => {
    const { gateway, agentId, sidecar } = await fixture.attached();
    const ended = send(gateway, agentId, "1");
    const endedRun = await sidecar.offer(0);
    await sidecar.publish(scriptOf(endedRun).end(TurnState.SUCCEEDED));
    await ended.done;
    send(gateway, agentId, "2");
    const moved = await sidecar.offer(1);
    await sidecar.attach(gateway, []);
    await sidecar.offer(2);
    const other = await fixture.attached(gateway);
    send(gateway, other.agentId, "3");
    const foreign = await other.sidecar.offer(0);
    const unknown = crypto.randomUUID();
    const ledger = [endedRun, moved, { turnId: unknown, attempt: 1 }, { turnId: "no uuid", attempt: 1 }, foreign];
    const told = await gateway.service.reconcileTurns(
      { sidecarId: "s", agentIds: [agentId] },
      ledger.map(({ turnId, attempt }) => ({ $typeName: "openhermit.mesh.v1.LedgerTurn", turnId, attempt })),
    );
    expect(new Set(told.deadTurnIds)).toEqual(new Set([endedRun.turnId, moved.turnId, unknown, "no uuid"]));
    expect(told.foreignTurnIds).toEqual([foreign.turnId]);
    expect(await storedTurn(gateway, foreign.turnId)).toMatchObject({ state: TurnState.OFFERED });
  });

  test("while another sidecar of the agent is attached leaves that one's turns alone", async () => {
    const { gateway, agentId, sidecar } = await fixture.attached();
    send(gateway, agentId, "hello");
    const run = await sidecar.offer(0);
    await simulatedSidecar([agentId]).attach(gateway, []);
    expect(await storedTurn(gateway, run.turnId)).toMatchObject({ state: TurnState.OFFERED, attempt: 1 });
  });

  test("while a message is being stored never runs it twice", async () => {
    const { gateway, agentId, sidecar } = await fixture.attached();
    for (let i = 0; i < 25; i++) {
      sidecar.offers.length = 0;
      const stream = send(gateway, agentId, `m${i}`);
      const attaching = sidecar.attach(gateway, []);
      await attaching;
      const { id } = await turnOf(stream);
      await waitFor(
        async () => {
          const { state, attempt } = await storedTurn(gateway, id);
          return state === TurnState.OFFERED && sidecar.offers.some((offer) => offer.attempt === attempt);
        },
        { what: `turn ${i} to be on its way as stored` },
      );
      expect(new Set(sidecar.offers.map(({ attempt }) => attempt)).size).toBe(sidecar.offers.length);
      const run = sidecar.offers.at(-1);
      if (run === undefined) throw new Error("no offer");
      await sidecar.publish(scriptOf(run).end(TurnState.SUCCEEDED));
      await stream.done;
      expect(stream.turn()?.state).toBe(TurnState.SUCCEEDED);
    }
  });
});

describe("a message whose storing is answered late", () => {
  test("after a sidecar has attached is not offered a second time, and its sender sees how it went on", async () => {
    const slow = heldAnswers(fixture.database);
    const { gateway, agentId, sidecar } = await fixture.attached(fixture.gateway({ database: slow.database }));
    const storing = slow.hold("INSERT INTO sessions.sessions");
    const stream = send(gateway, agentId, "hello");
    await waitFor(() => storing.held() === 1, { what: "the turn to be stored" });
    await sidecar.attach(gateway, []);
    const run = await sidecar.offer(0);
    expect(run.attempt).toBe(2);
    storing.release();
    await turnOf(stream);
    const said = scriptOf(run);
    await sidecar.publish(said.running(), said.user(), said.step(1, "hi"), said.end(TurnState.SUCCEEDED, "hi"));
    await stream.done;
    expect(brief(stream.events)).toEqual(["turn:OFFERED/2", "step:hi", "turn:SUCCEEDED/2"]);
    expect(sidecar.offers).toHaveLength(1);
    expect(gateway.service.counts()).toEqual({ live: 0, subscribers: 0 });
  });

  test("after the queued turn was claimed is shown to its sender as it is then", async () => {
    const slow = heldAnswers(fixture.database);
    const gateway = fixture.gateway({ database: slow.database });
    const agentId = fixture.newAgent();
    const storing = slow.hold("INSERT INTO sessions.sessions");
    const stream = send(gateway, agentId, "hello");
    await waitFor(() => storing.held() === 1, { what: "the turn to be stored" });
    const sidecar = simulatedSidecar([agentId]);
    await sidecar.attach(gateway);
    const run = await sidecar.offer(0);
    await sidecar.publish(scriptOf(run).running());
    storing.release();
    await turnOf(stream);
    await sidecar.publish(scriptOf(run).end(TurnState.SUCCEEDED, "hi"));
    await stream.done;
    expect(brief(stream.events)).toEqual(["turn:RUNNING/1", "turn:SUCCEEDED/1"]);
  });
});

describe("an offer", () => {
  test("that is not accepted in time is made again, and an accepted one is not", async () => {
    let now = 0;
    const gateway = fixture.gateway({ now: () => now, timing: { acceptMs: 5000, recoverPeriodMs: 10 } });
    await gateway.service.start();
    const { agentId, sidecar } = await fixture.attached(gateway);
    sidecar.deaf = true;
    const stream = send(gateway, agentId, "hello");
    await turnOf(stream);
    sidecar.deaf = false;
    const accepted = send(gateway, agentId, "accepted");
    const kept = await sidecar.offer(0);
    sidecar.accept(kept);
    now = 4900;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(sidecar.offers).toHaveLength(1);
    now = 5001;
    const run = await sidecar.offer(1);
    expect(run).toMatchObject({ attempt: 2, message: "hello" });
    sidecar.accept(run);
    now = 20_000;
    await sidecar.publish(scriptOf(run).end(TurnState.SUCCEEDED), scriptOf(kept).end(TurnState.SUCCEEDED));
    await Promise.all([stream.done, accepted.done]);
    expect(sidecar.offers).toHaveLength(2);
  });

  test("that is refused is made again later, or fails the turn when the sidecar can't write", async () => {
    let now = 0;
    const gateway = fixture.gateway({ now: () => now, timing: { refusedPauseMs: 1000, dispatchPeriodMs: 10 } });
    await gateway.service.start();
    const { agentId, sidecar } = await fixture.attached(gateway);
    const stream = send(gateway, agentId, "hello");
    const run = await sidecar.offer(0);
    await turnOf(stream);
    gateway.service.turnRefused(run.turnId, 1, RefusalReason.BUSY, "all places are taken");
    await waitFor(() => brief(stream.events).includes("turn:QUEUED/1"), { what: "the turn to be queued again" });
    const second = await turnOf(send(gateway, agentId, "second"));
    expect(second.state).toBe(TurnState.QUEUED);
    expect(sidecar.offers).toHaveLength(1);
    now = 1001;
    const again = await sidecar.offer(1);
    expect(again).toMatchObject({ turnId: run.turnId, attempt: 2 });
    gateway.service.turnRefused(run.turnId, 1, RefusalReason.OUTBOX_FULL, "an answer to the old offer");
    gateway.service.turnRefused(run.turnId, 2, RefusalReason.OUTBOX_FULL, "the disk is full");
    await stream.done;
    expect(stream.turn()).toMatchObject({ state: TurnState.FAILED, error: { reason: "OUTBOX_FULL", retryable: true } });
  });

  test("to a busy agent is made again as soon as a place is free", async () => {
    const { gateway, agentId, sidecar } = await fixture.attached();
    const first = send(gateway, agentId, "1");
    const run = await sidecar.offer(0);
    send(gateway, agentId, "2");
    const refused = await sidecar.offer(1);
    gateway.service.turnRefused(refused.turnId, 1, RefusalReason.BUSY, "busy");
    await waitFor(async () => (await storedTurn(gateway, refused.turnId)).state === TurnState.QUEUED, {
      what: "queued",
    });
    await sidecar.publish(scriptOf(run).end(TurnState.SUCCEEDED));
    await first.done;
    expect(await sidecar.offer(2)).toMatchObject({ turnId: refused.turnId, attempt: 2 });
  });

  test("to an agent that runs one turn at a time costs a few statements a turn, however many wait, oldest first", async () => {
    const gateway = fixture.gateway();
    const agentId = fixture.newAgent();
    const streams: ReturnType<typeof send>[] = [];
    for (let i = 0; i < 40; i++) {
      const stream = send(gateway, agentId, `${i}`);
      streams.push(stream);
      await turnOf(stream);
    }
    const sidecar = simulatedSidecar([agentId]);
    await sidecar.attach(gateway);
    const refuseFrom = async (index: number): Promise<void> => {
      for (const { turnId, attempt } of sidecar.offers.slice(index)) {
        gateway.service.turnRefused(turnId, attempt, RefusalReason.BUSY, "one at a time");
      }
      await waitFor(() => gateway.service.counts().live <= 1, { what: "the refused turns to be queued" });
    };
    await sidecar.offer(39);
    await refuseFrom(1);
    const before = fixture.database.statementCount();
    let run = await sidecar.offer(0);
    const order: string[] = [];
    for (let i = 0; i < 20; i++) {
      order.push(run.message);
      const offers = sidecar.offers.length;
      sidecar.accept(run);
      await sidecar.publish(scriptOf(run).end(TurnState.SUCCEEDED));
      run = await sidecar.offer(offers);
    }
    expect(order).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`));
    expect(fixture.database.statementCount() - before).toBeLessThanOrEqual(20 * 4);
  });
});

describe("a queued turn", () => {
  test("waits for its agent, and runs when a sidecar is ready", async () => {
    const gateway = fixture.gateway();
    const agentId = fixture.newAgent();
    const streams = [send(gateway, agentId, "1"), send(gateway, agentId, "2")];
    await Promise.all(streams.map(turnOf));
    const sidecar = simulatedSidecar([agentId]);
    await sidecar.attach(gateway);
    await sidecar.offer(1);
    expect(sidecar.offers.map(({ attempt }) => attempt)).toEqual([1, 1]);
  });

  test("a backlog is claimed in parts, and all of it in the end", async () => {
    const gateway = fixture.gateway();
    const agentId = fixture.newAgent();
    const streams = Array.from({ length: 150 }, (_, i) => send(gateway, agentId, `${i}`));
    await Promise.all(streams.map(turnOf));
    const sidecar = simulatedSidecar([agentId]);
    await sidecar.attach(gateway);
    await sidecar.offer(63);
    expect(sidecar.offers.length).toBe(64);
    for (let i = 0; i < 150; i++) sidecar.accept(await sidecar.offer(i));
    expect(new Set(sidecar.offers.map(({ turnId }) => turnId)).size).toBe(150);
  });

  test("fails when its agent is stopped or deleted, not when it only restarts", async () => {
    let now = 0;
    const gateway = fixture.gateway({ now: () => now, timing: { dispatchPeriodMs: 10, goneMs: 5000 } });
    await gateway.service.start();
    const [stopped, deleted, restarted] = [fixture.newAgent(), fixture.newAgent(), fixture.newAgent()];
    const streams = await Promise.all(
      [stopped, deleted, restarted].map(async (agentId) => {
        const stream = send(gateway, agentId, "hello");
        await turnOf(stream);
        return stream;
      }),
    );
    gateway.agentStates.set(stopped, "stopped").set(deleted, "unknown").set(restarted, "stopped");
    await waitRuns();
    gateway.agentStates.delete(restarted);
    now = 5001;
    await Promise.all([streams[0]?.done, streams[1]?.done]);
    expect(streams.map((stream) => [stream.turn()?.state, stream.turn()?.error?.reason])).toEqual([
      [TurnState.FAILED, "AGENT_STOPPED"],
      [TurnState.FAILED, "AGENT_NOT_FOUND"],
      [TurnState.QUEUED, undefined],
    ]);
  });

  test("fails when nobody has reached its agent for too long, and its successor with it only when that waited too", async () => {
    const gateway = fixture.gateway({
      timing: { dispatchPeriodMs: 10, recoverPeriodMs: 10, lostMs: 50, unreachableMs: 60_000 },
    });
    const agentId = fixture.newAgent();
    const old = send(gateway, agentId, "old", { chatId: "c" });
    const { id } = await turnOf(old);
    await fixture.database.query(
      sql`UPDATE sessions.turns SET queue_time = now() - interval '2 minutes' WHERE id = ${id}::uuid`,
    );
    const young = send(gateway, agentId, "young", { chatId: "c" });
    await turnOf(young);
    await gateway.service.start();
    await old.done;
    expect(old.turn()).toMatchObject({
      state: TurnState.FAILED,
      error: { reason: "AGENT_UNREACHABLE", retryable: true },
    });
    expect(young.turn()?.state).toBe(TurnState.QUEUED);
  });
});

describe("a turn whose owner is gone", () => {
  const QUICK = { recoverPeriodMs: 20, lostMs: 200, strayMs: 300, dispatchPeriodMs: 20, followPeriodMs: 20 };

  test("is queued again, or interrupted if a tool had started, when the link stays away", async () => {
    const gateway = fixture.gateway({ timing: QUICK });
    await gateway.service.start();
    const { agentId, sidecar } = await fixture.attached(gateway);
    const [safe, unsafe] = [send(gateway, agentId, "safe"), send(gateway, agentId, "unsafe")];
    for (const index of [0, 1]) {
      const run = await sidecar.offer(index);
      await sidecar.publish(scriptOf(run).running(run.message === "unsafe"));
    }
    // With the link nothing is lost, however long it takes.
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect([safe.turn()?.state, unsafe.turn()?.state]).toEqual([TurnState.RUNNING, TurnState.RUNNING]);
    sidecar.detach();
    await unsafe.done;
    expect(unsafe.turn()).toMatchObject({ state: TurnState.INTERRUPTED, error: { reason: "TURN_INTERRUPTED" } });
    await waitFor(() => safe.turn()?.state === TurnState.QUEUED, { what: "the safe turn to be queued" });
    expect(gateway.service.counts().live).toBe(0);
  });

  test("is found by another gateway when its own has died", async () => {
    const dead = testGateway({ database: fixture.database, timing: { ...QUIET, ...QUICK } });
    await dead.service.start();
    const { agentId, sidecar } = await fixture.attached(dead);
    const stream = send(dead, agentId, "hello");
    const run = await sidecar.offer(0);
    await sidecar.publish(scriptOf(run).running());
    await waitRuns();
    await dead.close();
    await stream.done.catch(() => undefined);
    const gateway = fixture.gateway({ timing: QUICK });
    await gateway.service.start();
    const next = simulatedSidecar([agentId]);
    gateway.link(next);
    expect(await next.offer(0)).toMatchObject({ turnId: run.turnId, attempt: 2 });
  });

  test("is found when this gateway owns it and does not know it", async () => {
    const gateway = fixture.gateway({ timing: QUICK });
    const { agentId, sidecar } = await fixture.attached(gateway);
    const { id } = await turnOf(send(gateway, agentId, "hello"));
    await sidecar.offer(0);
    const owner = await fixture.database.query<{ gateway_id: string }>(
      sql`SELECT gateway_id FROM sessions.turns WHERE id = ${id}::uuid`,
    );
    // As after a statement whose answer was lost on the way.
    const forgotten = crypto.randomUUID();
    await fixture.database.query(sql`
      WITH session AS (
        INSERT INTO sessions.sessions (id, agent_id, key, user_id, channel, title, turn_count, last_turn_id)
        VALUES (${forgotten}::uuid, ${agentId}, ${forgotten}, 'u', 'c', 't', 1, ${forgotten}::uuid))
      INSERT INTO sessions.turns (id, session_id, number, agent_id, user_id, channel, state, attempt, message, on_disconnect,
        traceparent, gateway_id, owner_time, base_position)
      VALUES (${forgotten}::uuid, ${forgotten}::uuid, 1, ${agentId}, 'u', 'c', 2, 1, 'forgotten', 1, '',
        ${owner.rows[0]?.gateway_id}, now(), 0)`);
    await gateway.service.start();
    const again = await waitFor(() => sidecar.offers.find((offer) => offer.turnId === forgotten), {
      what: "the offer",
    });
    expect(again.attempt).toBe(2);
    expect(await storedTurn(gateway, id)).toMatchObject({ attempt: 1 });
  });

  test("is not judged before the database has been there for long enough", async () => {
    const now = { ms: 0 };
    const gateway = fixture.gateway({ timing: QUICK, now: () => now.ms });
    const { agentId, sidecar } = await fixture.attached(gateway);
    const stream = send(gateway, agentId, "hello");
    const run = await sidecar.offer(0);
    await sidecar.publish(scriptOf(run).running(true));
    sidecar.detach();
    await gateway.service.start();
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await storedTurn(gateway, run.turnId)).toMatchObject({ state: TurnState.RUNNING });
    now.ms = 201;
    await stream.done;
    expect(stream.turn()?.state).toBe(TurnState.INTERRUPTED);
  });
});

/** Long enough for tasks with a period of 10 to 20 ms to have run; nothing is expected to happen. */
const waitRuns = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 100));
