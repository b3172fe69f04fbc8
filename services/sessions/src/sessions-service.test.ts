import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { reasonOf, sessionsFixture, storedTurn, turnOf, type AttachedAgent } from "./test/sessions-fixture.ts";
import { scriptOf } from "./test/simulated-sidecar.ts";
import { brief, send } from "./test/test-gateway.ts";

const fixture = sessionsFixture({ beforeAll, afterEach, afterAll });
const attached = (): Promise<AttachedAgent> => fixture.attached();
const newAgent = (): string => fixture.newAgent();

describe("a plain turn", () => {
  test("streams state, deltas, steps and the end, is stored as shown, and costs one statement and its flushes", async () => {
    const { gateway, agentId, sidecar } = await attached();
    const warmUp = send(gateway, agentId, "first");
    await sidecar.publish(scriptOf(await sidecar.offer(0)).end(TurnState.SUCCEEDED));
    await warmUp.done;
    const before = fixture.database.statementCount();
    const stream = send(gateway, agentId, "hello");
    const run = await sidecar.offer(1);
    expect(fixture.database.statementCount() - before).toBe(1);
    expect(run).toMatchObject({ attempt: 1, agentId, message: "hello", userId: "operator", channel: "api" });
    const said = scriptOf(run);
    sidecar.accept(run);
    await sidecar.publish(said.running(), said.user());
    sidecar.show(run, 1, "let ");
    sidecar.show(run, 1, "me");
    await sidecar.publish(said.step(1, "let me", ["call-1"]), said.running(true));
    sidecar.showToolCall(run, "call-1");
    await sidecar.publish(
      said.toolResult("call-1", "echoed"),
      said.step(2, "done"),
      said.end(TurnState.SUCCEEDED, "done"),
    );
    await stream.done;
    expect(fixture.database.statementCount() - before).toBe(4);
    expect(brief(stream.events)).toEqual([
      "turn:OFFERED/1",
      "turn:RUNNING/1",
      "delta:let ",
      "delta:me",
      "step:let me",
      "call:call-1",
      "result:echoed",
      "step:done",
      "turn:SUCCEEDED/1",
    ]);
    const last = stream.turn();
    expect(last).toEqual(await storedTurn(gateway, run.turnId));
    expect(last).toMatchObject({ answer: "done", usage: { inputTokens: 3n, outputTokens: 2n, modelCalls: 1 } });
    const { entries } = await gateway.client.listTranscript({ sessionId: run.sessionId });
    expect(entries.map(({ position, entry }) => [position, entry.case])).toEqual([
      [1n, "userMessage"],
      [2n, "assistantMessage"],
      [3n, "toolResult"],
      [4n, "assistantMessage"],
    ]);
    expect(gateway.service.counts()).toEqual({ live: 0, subscribers: 0 });
  });

  test("a delta reaches its reader in the tick it comes in", async () => {
    const { gateway, agentId, sidecar } = await attached();
    const stream = send(gateway, agentId, "hello");
    const run = await sidecar.offer(0);
    await turnOf(stream);
    sidecar.show(run, 1, "now");
    await new Promise((resolve) => setImmediate(resolve));
    expect(brief(stream.events)).toContain("delta:now");
  });

  test("the next message of the session carries the head of the transcript", async () => {
    const { gateway, agentId, sidecar } = await attached();
    const first = send(gateway, agentId, "one", { chatId: "c" });
    const run = await sidecar.offer(0);
    const said = scriptOf(run);
    await sidecar.publish(said.running(), said.user(), said.step(1, "hi"), said.end(TurnState.SUCCEEDED, "hi"));
    await first.done;
    send(gateway, agentId, "two", { chatId: "c" });
    const next = await sidecar.offer(1);
    expect(next).toMatchObject({ sessionId: run.sessionId, transcriptHead: 2n, channel: "test" });
    const { session } = await gateway.client.getSession({ sessionId: run.sessionId });
    expect(session).toMatchObject({
      key: `agent:${agentId}:test:dm:c`,
      turnCount: 2,
      title: "one",
      transcriptHead: 2n,
    });
  });
});

describe("one turn of a session at a time", () => {
  test("of two messages at once one runs, the other waits and then runs", async () => {
    const { gateway, agentId, sidecar } = await attached();
    for (let round = 0; round < 20; round++) {
      const offers = sidecar.offers.length;
      const both = ["a", "b"].map((text) => send(gateway, agentId, text, { chatId: `chat-${round}` }));
      const states = (await Promise.all(both.map(turnOf))).map((turn) => turn.state).toSorted((a, b) => a - b);
      expect(states).toEqual([TurnState.QUEUED, TurnState.OFFERED]);
      for (const index of [offers, offers + 1]) {
        const run = await sidecar.offer(index);
        const said = scriptOf(run);
        await sidecar.publish(said.running(), said.user(), said.end(TurnState.SUCCEEDED, run.message));
      }
      for (const stream of both) await stream.done;
      expect(sidecar.offers.length).toBe(offers + 2);
    }
  });

  test("a message that is stored while the end of the turn before commits is offered, whichever is first", async () => {
    const { gateway, agentId, sidecar } = await attached();
    let stream = send(gateway, agentId, "first", { chatId: "race" });
    for (let i = 0; i < 60; i++) {
      const run = await sidecar.offer(i);
      const said = scriptOf(run);
      await sidecar.publish(said.running(), said.user());
      const ending = sidecar.publish(said.end(TurnState.SUCCEEDED, "ok"));
      const next = send(gateway, agentId, `message ${i}`, { chatId: "race" });
      await Promise.all([ending, stream.done]);
      stream = next;
      // No task runs: only the two who raced can bring this offer.
      expect((await sidecar.offer(i + 1)).message).toBe(`message ${i}`);
    }
  });

  test("a burst to one session runs in the order it was stored in", async () => {
    const { gateway, agentId, sidecar } = await attached();
    const streams = Array.from({ length: 30 }, (_, i) => send(gateway, agentId, `m${i}`, { chatId: "burst" }));
    const turns = await Promise.all(streams.map(turnOf));
    for (let i = 0; i < 30; i++) {
      const run = await sidecar.offer(i);
      expect(sidecar.offers.length).toBe(i + 1);
      await sidecar.publish(scriptOf(run).end(TurnState.SUCCEEDED));
    }
    await Promise.all(streams.map((stream) => stream.done));
    expect(new Set(sidecar.offers.map((run) => run.turnId))).toEqual(new Set(turns.map((turn) => turn.id)));
    const { rows } = await fixture.database.query<{ id: string }>({
      text: "SELECT id FROM sessions.turns WHERE agent_id = $1 ORDER BY number",
      values: [agentId],
    });
    expect(sidecar.offers.map((run) => run.turnId)).toEqual(rows.map(({ id }) => id));
  });
});

describe("a request id", () => {
  test("fifty callers at once join one turn and see all of it", async () => {
    const { gateway, agentId, sidecar } = await attached();
    const requestId = crypto.randomUUID();
    const streams = Array.from({ length: 50 }, () => send(gateway, agentId, "once", { requestId }));
    const turns = await Promise.all(streams.map(turnOf));
    expect(new Set(turns.map((turn) => turn.id)).size).toBe(1);
    const run = await sidecar.offer(0);
    const said = scriptOf(run);
    await sidecar.publish(said.running(), said.user());
    sidecar.show(run, 1, "yes");
    await sidecar.publish(said.step(1, "yes"), said.end(TurnState.SUCCEEDED, "yes"));
    for (const stream of streams) {
      await stream.done;
      expect(brief(stream.events).slice(-2)).toEqual(["step:yes", "turn:SUCCEEDED/1"]);
    }
    expect(sidecar.offers).toHaveLength(1);
    const { sessions } = await gateway.client.listSessions({ agentId });
    expect(sessions.map((session) => session.turnCount)).toEqual([1]);

    const late = send(gateway, agentId, "once", { requestId });
    await late.done;
    expect(brief(late.events)).toEqual(["turn:RUNNING/1", "step:yes", "turn:SUCCEEDED/1"]);
    gateway.agentStates.set(agentId, "stopped");
    expect(brief(await send(gateway, agentId, "once", { requestId }).done).at(-1)).toBe("turn:SUCCEEDED/1");
  });

  test("makes one turn, however often its callers race", async () => {
    const { gateway, agentId } = await attached();
    const other = fixture.gateway();
    for (let round = 0; round < 15; round++) {
      const requestId = crypto.randomUUID();
      const streams = Array.from({ length: 16 }, (_, i) =>
        send(
          i % 2 === 0 ? gateway : other,
          agentId,
          "once",
          round % 2 === 0 ? { requestId } : { requestId, chatId: "c" },
        ),
      );
      const turns = await Promise.all(streams.map(turnOf));
      expect(new Set(turns.map((turn) => turn.id)).size).toBe(1);
      for (const stream of streams) stream.leave();
    }
    const { sessions } = await gateway.client.listSessions({ agentId });
    expect(sessions.reduce((sum, session) => sum + session.turnCount, 0)).toBe(15);
  });

  test("used with another message is refused", async () => {
    const { gateway, agentId } = await attached();
    const requestId = crypto.randomUUID();
    await turnOf(send(gateway, agentId, "one", { requestId }));
    expect(await reasonOf(send(gateway, agentId, "other", { requestId }).done)).toBe("REQUEST_ID_REUSED");
    const { sessionId } = await turnOf(send(gateway, agentId, "two"));
    expect(await reasonOf(send(gateway, agentId, "one", { requestId, sessionId }).done)).toBe("REQUEST_ID_REUSED");
    const elsewhere = newAgent();
    expect((await turnOf(send(gateway, elsewhere, "other", { requestId }))).agentId).toBe(elsewhere);
  });
});

describe("a message that can't become a turn", () => {
  test("is refused: unknown and stopped agents, a session of another agent, a full queue", async () => {
    const gateway = fixture.gateway({ timing: { maxQueuedTurns: 3 } });
    const agentId = newAgent();
    gateway.agentStates.set("nobody", "unknown").set("asleep", "stopped");
    expect(await reasonOf(send(gateway, "nobody", "x").done)).toBe("AGENT_NOT_FOUND");
    expect(await reasonOf(send(gateway, "asleep", "x").done)).toBe("AGENT_STOPPED");
    const { sessionId } = await turnOf(send(gateway, agentId, "1"));
    expect(await reasonOf(send(gateway, newAgent(), "x", { sessionId }).done)).toBe("SESSION_NOT_FOUND");
    expect(await reasonOf(send(gateway, agentId, "x", { sessionId: "no uuid" }).done)).toBe("SESSION_NOT_FOUND");
    await turnOf(send(gateway, agentId, "2", { sessionId }));
    await turnOf(send(gateway, agentId, "3"));
    expect(await reasonOf(send(gateway, agentId, "4", { sessionId }).done)).toBe("QUEUE_FULL");
    const { session } = await gateway.client.getSession({ sessionId });
    expect(session?.turnCount).toBe(2);
  });
});
