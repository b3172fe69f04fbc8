import type { Caller } from "@openhermit/caller";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { testCaller, waitFor } from "@openhermit/testing";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { reasonOf, sessionsFixture, storedTurn, turnOf } from "./test/sessions-fixture.ts";
import { scriptOf } from "./test/simulated-sidecar.ts";
import { brief, send, watch, type TestGateway } from "./test/test-gateway.ts";

const fixture = sessionsFixture({ beforeAll, afterEach, afterAll });

/** What a call is refused with and what it costs, with the id taken out. */
async function refusalOf(gateway: TestGateway, id: string, call: () => Promise<unknown>): Promise<object> {
  const before = fixture.database.statementCount();
  await reasonOf(call());
  const statements = fixture.database.statementCount() - before;
  const { code, reason, message, hint, fields } = gateway.refusals.at(-1) ?? {};
  const said = JSON.stringify({ code, reason, message, hint, fields }).replaceAll(id, "ID");
  return { said, statements };
}

describe("a caller that does not reach an agent", () => {
  test("finds nothing of it by id, and can't tell it from what does not exist", async () => {
    const { gateway, agentId, sidecar } = await fixture.attached();
    const stream = send(gateway, agentId, "a secret");
    const { turnId, sessionId } = await sidecar.offer(0);
    await sidecar.publish(scriptOf(await sidecar.offer(0)).user());
    const { client } = gateway;
    const calls: [string, (id: string) => Promise<unknown>][] = [
      [turnId, (id) => client.getTurn({ turnId: id })],
      [turnId, (id) => client.cancelTurn({ turnId: id })],
      [turnId, (id) => watch((call) => client.watchTurn({ turnId: id }, call)).done],
      [sessionId, (id) => client.getSession({ sessionId: id })],
      [sessionId, (id) => client.listTranscript({ sessionId: id })],
    ];
    const strangers: Caller[] = [
      testCaller("member:ann", ["other"]),
      { kind: "sidecar", sidecarId: "s", agentIds: [agentId] },
      { kind: "anonymous" },
    ];
    for (const stranger of strangers) {
      gateway.caller = stranger;
      for (const [id, call] of calls) {
        const missing = crypto.randomUUID();
        expect(await refusalOf(gateway, id, () => call(id))).toEqual(
          await refusalOf(gateway, missing, () => call(missing)),
        );
      }
    }
    expect(sidecar.cancels).toEqual([]);
    expect(gateway.changes).toEqual([]);
    expect(gateway.service.counts().subscribers).toBe(1);

    gateway.caller = testCaller("member:bob", [agentId]);
    expect(await storedTurn(gateway, turnId)).toMatchObject({ message: "a secret" });
    expect((await client.getSession({ sessionId })).session).toMatchObject({ agentId });
    expect((await client.listTranscript({ sessionId })).entries).toHaveLength(1);
    await client.cancelTurn({ turnId });
    expect(sidecar.cancels).toMatchObject([{ turnId, reason: "the turn was cancelled: member:bob asked for it" }]);
    stream.leave();
  });

  test("is refused a message to an agent that does not exist with the words for one that it does not reach", async () => {
    const gateway = fixture.gateway();
    gateway.agentStates.set("nobody", "unknown");
    await reasonOf(send(gateway, "nobody", "hello").done);
    // The gateway refuses the other one before it gets here: word for word the same.
    expect(gateway.refusals[0]).toMatchObject({
      code: "not_found",
      reason: "AGENT_NOT_FOUND",
      message: 'agent "nobody" does not exist',
      hint: "List the agents for their ids.",
      fields: { agent_id: "nobody" },
    });
  });

  test("gets lists without its sessions, in full pages, and none when it is named", async () => {
    const gateway = fixture.gateway();
    const [mine, theirs] = [fixture.newAgent(), fixture.newAgent()];
    for (let i = 0; i < 12; i++) await turnOf(send(gateway, i % 3 === 0 ? mine : theirs, `message ${i}`));
    const pages = async (agentId = "", from = ""): Promise<string[][]> => {
      const read: string[][] = [];
      let pageToken = from;
      do {
        const page = await gateway.client.listSessions({ agentId, pageSize: 2, pageToken });
        read.push(page.sessions.map(({ title }) => title));
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      return read;
    };
    const { nextPageToken } = await gateway.client.listSessions({ pageSize: 1 });

    const ann = testCaller("member:ann", [mine]);
    gateway.caller = ann;
    const inPages = [
      ["message 9", "message 6"],
      ["message 3", "message 0"],
    ];
    expect(await pages()).toEqual(inPages);
    expect(await pages(mine)).toEqual(inPages);
    expect(await pages(theirs)).toEqual([[]]);
    expect(await pages("no-such-agent")).toEqual([[]]);
    // The token of a caller that reaches all only says where to go on.
    expect(await pages("", nextPageToken)).toEqual(inPages);
    expect(await pages(theirs, nextPageToken)).toEqual([[]]);
    // Of two and of many agents the sessions are read in other ways.
    ann.agentIds.add("idle");
    expect(await pages()).toEqual(inPages);
    for (let i = 0; i < 150; i++) ann.agentIds.add(`idle-${i}`);
    expect(await pages()).toEqual(inPages);
    ann.agentIds.add(theirs);
    expect((await pages()).flat()).toEqual(Array.from({ length: 12 }, (_, i) => `message ${11 - i}`));
    ann.agentIds.clear();
    expect(await pages()).toEqual([[]]);
    gateway.caller = { kind: "anonymous" };
    expect(await pages()).toEqual([[]]);
  });

  test("loses a turn that it watches at the next event; its sender does not", async () => {
    const { gateway, agentId, sidecar } = await fixture.attached();
    const sender = send(gateway, agentId, "hello");
    const run = await sidecar.offer(0);
    const said = scriptOf(run);
    await sidecar.publish(said.running());
    const ann = testCaller("member:ann", [agentId]);
    gateway.caller = ann;
    const watcher = watch((call) => gateway.client.watchTurn({ turnId: run.turnId }, call));
    await turnOf(watcher);
    sidecar.show(run, 1, "seen");
    await waitFor(() => watcher.events.length === 2, { what: "what happens while it is in reach" });
    ann.agentIds.delete(agentId);
    sidecar.show(run, 1, "a secret");
    expect(await reasonOf(watcher.done)).toBe("TURN_NOT_FOUND");
    expect(brief(watcher.events)).toEqual(["turn:RUNNING/1", "delta:seen"]);
    expect(gateway.service.counts().subscribers).toBe(1);
    await sidecar.publish(said.step(1, "a secret"), said.end(TurnState.SUCCEEDED, "a secret"));
    await sender.done;
    expect(sender.turn()).toMatchObject({ answer: "a secret" });
  });
});

describe("the sender of a message", () => {
  test("is the caller by its credential, on the stream and stored, whoever joins later", async () => {
    const { gateway, agentId, sidecar } = await fixture.attached();
    gateway.caller = testCaller("member:ann", [agentId]);
    const requestId = crypto.randomUUID();
    const stream = send(gateway, agentId, "hello", { requestId });
    const run = await sidecar.offer(0);
    expect(await turnOf(stream)).toMatchObject({ sender: "member:ann" });
    expect(run.userId).toBe("member:ann");
    gateway.caller = testCaller("service-account:ci", [agentId]);
    const second = send(gateway, agentId, "hello", { requestId });
    expect(await turnOf(second)).toMatchObject({ id: run.turnId, sender: "member:ann" });
    await sidecar.publish(scriptOf(run).running(), scriptOf(run).end(TurnState.SUCCEEDED, "hi"));
    for (const { done } of [stream, second]) {
      const senders = (await done).flatMap(({ event }) => (event.case === "turn" ? [event.value.sender] : []));
      expect(new Set(senders)).toEqual(new Set(["member:ann"]));
    }
    expect(await storedTurn(gateway, run.turnId)).toMatchObject({ sender: "member:ann", answer: "hi" });
    const queued = send(fixture.gateway(), fixture.newAgent(), "hello");
    expect(await turnOf(queued)).toMatchObject({ sender: "operator" });
  });

  test("is known of the turns in hand, also of those that a sidecar brings along, for their own agent only", async () => {
    const { gateway, agentId, sidecar } = await fixture.attached();
    gateway.caller = testCaller("member:ann", [agentId]);
    const stream = send(gateway, agentId, "hello");
    const { turnId, attempt } = await sidecar.offer(0);
    expect(gateway.service.senderOf(turnId, agentId)).toBe("member:ann");
    expect(gateway.service.senderOf(turnId, "other")).toBe("");
    const next = fixture.gateway();
    expect(next.service.senderOf(turnId, agentId)).toBe("");
    await sidecar.attach(next, [{ turnId, attempt }]);
    expect(next.service.senderOf(turnId, agentId)).toBe("member:ann");
    await sidecar.publish(scriptOf(await sidecar.offer(0)).end(TurnState.SUCCEEDED));
    expect(next.service.senderOf(turnId, agentId)).toBe("");
    stream.leave();
  });
});

describe("a cancellation", () => {
  test("is audited once, and not when it changes nothing", async () => {
    const { gateway, agentId, sidecar } = await fixture.attached();
    const running = send(gateway, agentId, "1", { chatId: "c" });
    const run = await sidecar.offer(0);
    const queued = await turnOf(send(gateway, agentId, "2", { chatId: "c" }));
    for (const turnId of [run.turnId, run.turnId, queued.id, queued.id]) await gateway.client.cancelTurn({ turnId });
    const cancelled = (targetId: string) => ({ action: "turns.cancel", targetType: "turn", targetId });
    expect(gateway.changes).toEqual([cancelled(run.turnId), cancelled(queued.id)]);
    // The second call is passed on nevertheless: the first may have been lost on its way.
    expect(sidecar.cancels.map(({ turnId }) => turnId)).toEqual([run.turnId, run.turnId]);
    expect(sidecar.cancels[1]).toEqual(sidecar.cancels[0]);
    await sidecar.publish(scriptOf(run).end(TurnState.CANCELLED));
    await running.done;
    await gateway.client.cancelTurn({ turnId: run.turnId });

    const leaving = send(gateway, agentId, "3", { cancelOnLeave: true });
    await turnOf(leaving);
    leaving.leave();
    await waitFor(() => sidecar.cancels.length === 3, { what: "the cancellation of a caller that left" });
    expect(gateway.changes).toHaveLength(2);
  });

  test("does not happen when it can't be audited", async () => {
    const gateway = fixture.gateway({
      audit: async () => {
        throw new Error("no room in the audit trail");
      },
    });
    const { agentId, sidecar } = await fixture.attached(gateway);
    send(gateway, agentId, "1", { chatId: "c" });
    const run = await sidecar.offer(0);
    const { id } = await turnOf(send(gateway, agentId, "2", { chatId: "c" }));
    for (const turnId of [run.turnId, id]) {
      await expect(gateway.client.cancelTurn({ turnId })).rejects.toThrow("internal error");
    }
    expect(sidecar.cancels).toEqual([]);
    expect(await storedTurn(gateway, id)).toMatchObject({ state: TurnState.QUEUED });
    expect(gateway.events).toEqual([]);
  });
});
