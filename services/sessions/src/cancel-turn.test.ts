import { RefusalReason } from "@openhermit/protocol/mesh/v1/link_service";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { waitFor } from "@openhermit/testing";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { reasonOf, sessionsFixture, storedTurn, turnOf } from "./test/sessions-fixture.ts";
import { scriptOf } from "./test/simulated-sidecar.ts";
import { brief, send, watch } from "./test/test-gateway.ts";

const fixture = sessionsFixture({ beforeAll, afterEach, afterAll });

test("a queued turn ends at once, and the one behind it keeps its place", async () => {
  const { gateway, agentId, sidecar } = await fixture.attached();
  const running = send(gateway, agentId, "1", { chatId: "c" });
  const run = await sidecar.offer(0);
  const second = send(gateway, agentId, "2", { chatId: "c" });
  const third = await turnOf(send(gateway, agentId, "3", { chatId: "c" }));
  const { id: turnId } = await turnOf(second);
  const { turn } = await gateway.client.cancelTurn({ turnId });
  expect(turn).toMatchObject({ state: TurnState.CANCELLED, error: { reason: "TURN_CANCELLED", retryable: false } });
  await second.done;
  expect(brief(second.events)).toEqual(["turn:QUEUED/0", "turn:CANCELLED/0"]);
  expect(sidecar.cancels).toEqual([]);
  await sidecar.publish(scriptOf(run).end(TurnState.SUCCEEDED));
  await running.done;
  expect((await sidecar.offer(1)).turnId).toBe(third.id);
});

test("a running turn is ended by its sidecar, who hears of it at once; asking twice changes nothing", async () => {
  const { gateway, agentId, sidecar } = await fixture.attached();
  const stream = send(gateway, agentId, "1");
  const run = await sidecar.offer(0);
  const said = scriptOf(run);
  await sidecar.publish(said.running());
  const { turn } = await gateway.client.cancelTurn({ turnId: run.turnId });
  expect(turn?.state).toBe(TurnState.RUNNING);
  expect(sidecar.cancels[0]).toMatchObject({ turnId: run.turnId });
  await gateway.client.cancelTurn({ turnId: run.turnId });
  await sidecar.publish(said.end(TurnState.CANCELLED, "half"));
  await stream.done;
  expect(stream.turn()).toMatchObject({ state: TurnState.CANCELLED, answer: "half" });
  const { turn: after } = await gateway.client.cancelTurn({ turnId: run.turnId });
  expect(after).toEqual(stream.turn());
  expect(await reasonOf(gateway.client.cancelTurn({ turnId: crypto.randomUUID() }))).toBe("TURN_NOT_FOUND");
});

test("an offered turn whose sidecar refuses it, or is lost, ends instead of being offered again", async () => {
  const { gateway, agentId, sidecar } = await fixture.attached(fixture.gateway({ timing: { refusedPauseMs: 0 } }));
  for (const gone of ["refuses", "lost"]) {
    const stream = send(gateway, agentId, gone);
    const run = await sidecar.offer(sidecar.offers.length);
    await gateway.client.cancelTurn({ turnId: run.turnId });
    if (gone === "refuses") gateway.service.turnRefused(run.turnId, 1, RefusalReason.BUSY, "busy");
    else await sidecar.attach(gateway, []);
    await stream.done;
    expect(stream.turn()).toMatchObject({ state: TurnState.CANCELLED, error: { reason: "TURN_CANCELLED" } });
  }
  expect(sidecar.offers).toHaveLength(2);
});

test("a turn that was asked to end while its sidecar was away is ended when it is back", async () => {
  const { gateway, agentId, sidecar } = await fixture.attached();
  send(gateway, agentId, "1");
  const run = await sidecar.offer(0);
  sidecar.detach();
  await gateway.client.cancelTurn({ turnId: run.turnId });
  expect(sidecar.cancels).toEqual([]);
  const { deadTurnIds } = await sidecar.attach(gateway, [{ turnId: run.turnId, attempt: 1 }]);
  expect(deadTurnIds).toEqual([]);
  expect(sidecar.cancels.map(({ turnId }) => turnId)).toEqual([run.turnId]);
});

test("a caller that leaves ends its turn only if it said so, and only when it was the last", async () => {
  const { gateway, agentId, sidecar } = await fixture.attached();
  const requestId = crypto.randomUUID();
  const first = send(gateway, agentId, "stop with me", { cancelOnLeave: true, requestId });
  const run = await sidecar.offer(0);
  const second = send(gateway, agentId, "stop with me", { cancelOnLeave: true, requestId });
  await turnOf(second);
  await turnOf(first);
  first.leave();
  await reasonOf(first.done);
  const watcher = watch((call) => gateway.client.watchTurn({ turnId: run.turnId }, call));
  await turnOf(watcher);
  expect(sidecar.cancels).toEqual([]);
  second.leave();
  await waitFor(() => sidecar.cancels.length > 0, { what: "the cancellation" });
  expect(sidecar.cancels[0]?.turnId).toBe(run.turnId);
  await sidecar.publish(scriptOf(run).end(TurnState.CANCELLED));
  await watcher.done;

  const staying = send(gateway, agentId, "go on without me");
  const other = await sidecar.offer(1);
  await turnOf(staying);
  staying.leave();
  await reasonOf(staying.done);
  await sidecar.publish(scriptOf(other).end(TurnState.SUCCEEDED, "done"));
  expect(await storedTurn(gateway, other.turnId)).toMatchObject({ state: TurnState.SUCCEEDED, answer: "done" });
  expect(sidecar.cancels).toHaveLength(1);
});

test("a caller that leaves a queued turn takes it out of the queue", async () => {
  const gateway = fixture.gateway();
  const stream = send(gateway, fixture.newAgent(), "1", { cancelOnLeave: true });
  const { id } = await turnOf(stream);
  stream.leave();
  await waitFor(async () => (await storedTurn(gateway, id)).endTime, { what: "the end" });
  expect(await storedTurn(gateway, id)).toMatchObject({ state: TurnState.CANCELLED, attempt: 0 });
});
