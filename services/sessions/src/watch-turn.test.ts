import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { waitFor } from "@openhermit/testing";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { reasonOf, sessionsFixture, storedTurn, turnOf } from "./test/sessions-fixture.ts";
import { scriptOf } from "./test/simulated-sidecar.ts";
import { brief, send, watch } from "./test/test-gateway.ts";
import { createTurnHub } from "./turn-hub.ts";

const fixture = sessionsFixture({ beforeAll, afterEach, afterAll });

describe("whoever joins in the middle", () => {
  test("gets the turn, the complete steps, the text so far, then the rest", async () => {
    const { gateway, agentId, sidecar } = await fixture.attached();
    const first = send(gateway, agentId, "hello");
    const run = await sidecar.offer(0);
    const said = scriptOf(run);
    await sidecar.publish(
      said.running(true),
      said.user(),
      said.step(1, "thinking", ["a"]),
      said.toolResult("a", "found"),
    );
    sidecar.show(run, 2, "it ");
    sidecar.show(run, 2, "is ");
    const late = watch((call) => gateway.client.watchTurn({ turnId: run.turnId }, call));
    await waitFor(() => brief(late.events).includes("snapshot:it is "), { what: "the text so far" });
    sidecar.show(run, 2, "here");
    await sidecar.publish(said.step(2, "it is here"), said.end(TurnState.SUCCEEDED, "it is here"));
    await late.done;
    expect(brief(late.events)).toEqual([
      "turn:RUNNING/1",
      "step:thinking",
      "result:found",
      "snapshot:it is ",
      "delta:here",
      "step:it is here",
      "turn:SUCCEEDED/1",
    ]);
    await first.done;
    expect(brief(first.events).slice(-4)).toEqual(["delta:is ", "delta:here", "step:it is here", "turn:SUCCEEDED/1"]);
  });

  test("misses nothing and gets nothing twice, at whatever moment it joins", async () => {
    const { gateway, agentId, sidecar } = await fixture.attached();
    const stream = send(gateway, agentId, "hello");
    const run = await sidecar.offer(0);
    const said = scriptOf(run);
    const watchers: ReturnType<typeof watch>[] = [];
    const join = (): void => {
      for (let i = 0; i < 3; i++)
        watchers.push(watch((call) => gateway.client.watchTurn({ turnId: run.turnId }, call)));
    };
    join();
    await sidecar.publish(said.running(), said.user());
    for (let step = 1; step <= 12; step++) {
      const words = Array.from({ length: 5 }, (_, i) => `${step}.${i} `);
      for (const word of words) {
        sidecar.show(run, step, word);
        join();
        await new Promise((resolve) => setImmediate(resolve));
      }
      const flushing = sidecar.publish(
        said.step(step, words.join(""), [`c${step}`]),
        said.toolResult(`c${step}`, `r${step}`),
      );
      join();
      await flushing;
    }
    const ending = sidecar.publish(said.end(TurnState.SUCCEEDED, "end"));
    join();
    await ending;
    join();
    await stream.done;
    const expected = Array.from({ length: 12 }, (_, i) => {
      const step = i + 1;
      return [Array.from({ length: 5 }, (_unused, word) => `${step}.${word} `).join(""), `r${step}`];
    }).flat();
    for (const { done } of watchers) {
      const events = await done;
      // Durable steps: each once, in order.
      expect(brief(events).filter((it) => /^(step|result):/.test(it))).toEqual(
        expected.map((text, i) => `${i % 2 === 0 ? "step" : "result"}:${text}`),
      );
      // The text shown for each step is always a beginning of what the step turned out to be.
      let text = "";
      let textStep = 0;
      for (const { event } of events) {
        if (event.case === "textSnapshot") [text, textStep] = [event.value.text, event.value.step];
        else if (event.case === "textDelta") {
          text = event.value.step === textStep ? text + event.value.text : event.value.text;
          textStep = event.value.step;
        } else if (event.case === "assistantMessage") {
          if (event.value.step === textStep) expect(event.value.text.startsWith(text)).toBe(true);
          // A delta of a complete step would come after it.
          [text, textStep] = ["", event.value.step + 1];
        } else continue;
        expect(expected[(textStep - 1) * 2] ?? "").toContain(text);
      }
      const states = brief(events).filter((it) => it.startsWith("turn:"));
      expect(states.at(-1)).toBe("turn:SUCCEEDED/1");
      expect(states.filter((it) => it === "turn:SUCCEEDED/1")).toHaveLength(1);
      expect(brief(events)[0]).toMatch(/^turn:/);
    }
  }, 60_000);

  test("between a commit and its showing gets the step once, and its text not a second time", async () => {
    const { gateway, agentId, sidecar } = await fixture.attached();
    const first = send(gateway, agentId, "hello");
    const run = await sidecar.offer(0);
    const said = scriptOf(run);
    await sidecar.publish(said.running(), said.user());
    sidecar.show(run, 1, "one");
    const batch = { entries: [said.step(1, "one", ["a"])], turnChanges: [] };
    await gateway.commit(batch);
    const late = watch((call) => gateway.client.watchTurn({ turnId: run.turnId }, call));
    await waitFor(() => brief(late.events).includes("step:one"), { what: "the step, read" });
    gateway.service.ingested(batch);
    sidecar.show(run, 2, "two");
    await sidecar.publish(said.toolResult("a", "r"), said.step(2, "two"), said.end(TurnState.SUCCEEDED, "two"));
    await Promise.all([first.done, late.done]);
    const rest = ["delta:two", "result:r", "step:two", "turn:SUCCEEDED/1"];
    expect(brief(late.events)).toEqual(["turn:RUNNING/1", "step:one", ...rest]);
    expect(brief(first.events).slice(2)).toEqual(["delta:one", "step:one", ...rest]);
  });

  test("of an ended turn gets its steps and the end as the last event; an unknown turn is not found", async () => {
    const { gateway, agentId, sidecar } = await fixture.attached();
    const stream = send(gateway, agentId, "hello");
    const run = await sidecar.offer(0);
    const said = scriptOf(run);
    await sidecar.publish(said.running(), said.user(), said.step(1, "hi"), said.end(TurnState.SUCCEEDED, "hi"));
    await stream.done;
    const again = watch((call) => gateway.client.watchTurn({ turnId: run.turnId }, call));
    expect(brief(await again.done)).toEqual(["turn:RUNNING/1", "step:hi", "turn:SUCCEEDED/1"]);
    for (const turnId of [crypto.randomUUID(), "no uuid"]) {
      expect(await reasonOf(watch((call) => gateway.client.watchTurn({ turnId }, call)).done)).toBe("TURN_NOT_FOUND");
    }
    expect(gateway.service.counts()).toEqual({ live: 0, subscribers: 0 });
  });
});

describe("through a gateway that does not have the link", () => {
  test("a sent message runs on the other one, and steps and end are seen on both", async () => {
    const timing = { followPeriodMs: 20 };
    const here = fixture.gateway({ timing });
    const there = fixture.gateway({ timing });
    await Promise.all([here.service.start(), there.service.start()]);
    const { agentId, sidecar } = await fixture.attached(there);
    const stream = send(here, agentId, "hello");
    const run = await sidecar.offer(0);
    const said = scriptOf(run);
    await sidecar.publish(said.running(), said.user(), said.step(1, "one", ["a"]));
    await waitFor(() => brief(stream.events).includes("step:one"), { what: "the step, seen from here" });
    const late = watch((call) => here.client.watchTurn({ turnId: run.turnId }, call));
    await waitFor(() => brief(late.events).includes("step:one"), { what: "the step, read from here" });
    await sidecar.publish(said.toolResult("a", "r"), said.step(2, "two"), said.end(TurnState.SUCCEEDED, "two"));
    await Promise.all([stream.done, late.done]);
    const durable = ["step:one", "result:r", "step:two", "turn:SUCCEEDED/1"];
    for (const { events } of [stream, late]) {
      expect(brief(events).filter((it) => !/^turn:(QUEUED|OFFERED|RUNNING)/.test(it))).toEqual(durable);
    }
    expect(await storedTurn(here, run.turnId)).toEqual(stream.turn());
  });

  test("a turn is cancelled where it runs, and goes on where its sidecar has gone", async () => {
    const timing = { followPeriodMs: 20 };
    const here = fixture.gateway({ timing });
    const there = fixture.gateway({ timing });
    await Promise.all([here.service.start(), there.service.start()]);
    const { agentId, sidecar } = await fixture.attached(there);
    const stream = send(there, agentId, "hello");
    const run = await sidecar.offer(0);
    sidecar.accept(run);
    // The sidecar moves to this gateway, and brings the turn along.
    await sidecar.attach(here, [{ turnId: run.turnId, attempt: 1 }]);
    const other = fixture.gateway({ timing });
    await other.client.cancelTurn({ turnId: run.turnId });
    await waitFor(() => sidecar.cancels.length > 0, { what: "the cancellation to reach the sidecar" });
    await sidecar.publish(scriptOf(run).end(TurnState.CANCELLED));
    await stream.done;
    expect(stream.turn()?.state).toBe(TurnState.CANCELLED);
    await waitFor(() => there.service.counts().live === 0, { what: "the first gateway to let the turn go" });
  });
});

test("a reader that does not read is closed, the others are not disturbed", async () => {
  const { gateway, agentId, sidecar } = await fixture.attached();
  const stream = send(gateway, agentId, "hello");
  const run = await sidecar.offer(0);
  await turnOf(stream);
  const slow = gateway.client.watchTurn({ turnId: run.turnId })[Symbol.asyncIterator]();
  await slow.next();
  const chunk = "x".repeat(10_000);
  for (let i = 0; i < 300; i++) {
    sidecar.show(run, 1, chunk);
    if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await sidecar.publish(scriptOf(run).end(TurnState.SUCCEEDED));
  await stream.done;
  expect(stream.events.filter(({ event }) => event.case === "textDelta")).toHaveLength(300);
  const rest = async (): Promise<number> => {
    let bytes = 0;
    for (;;) {
      const next = await slow.next();
      if (next.done === true) return bytes;
      const event = next.value.event?.event;
      if (event?.case === "textDelta") bytes += event.value.text.length;
    }
  };
  expect(await reasonOf(rest())).toBe("SLOW_READER");
});

test("what waits for a slow reader is bounded, and dropped when the bound is reached", () => {
  const hub = createTurnHub({ maxBufferedBytes: 10_000 });
  const subscription = hub.subscribe("turn", 0n);
  const news = { event: { $typeName: "openhermit.sessions.v1.TurnEvent" as const, event: { case: undefined } } };
  let taken = 0;
  while (subscription.push({ ...news, bytes: 100 })) taken += 1;
  expect(taken).toBe(101);
  expect(subscription.closed).toBe(true);
  expect(hub.get("turn")).toBeUndefined();
});

test("closing the service ends the streams and lets the turns go on", async () => {
  const { gateway, agentId, sidecar } = await fixture.attached();
  const stream = send(gateway, agentId, "hello", { cancelOnLeave: true });
  const run = await sidecar.offer(0);
  await turnOf(stream);
  await gateway.service.close();
  expect(await reasonOf(stream.done)).toBe("GATEWAY_STOPPING");
  expect(await storedTurn(gateway, run.turnId)).toMatchObject({ state: TurnState.OFFERED });
  expect(sidecar.cancels).toEqual([]);
});
