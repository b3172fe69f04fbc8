import { sql } from "@openhermit/postgres";
import { joinSql, rawSql } from "@openhermit/postgres";
import { DisconnectPolicy, TranscriptEntrySchema, TurnState } from "@openhermit/protocol/sessions/v1/session";
import { create } from "@bufbuild/protobuf";
import { array, assert, asyncProperty, boolean, constant, constantFrom, integer, oneof, record } from "fast-check";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { storeTurn } from "./new-turn-store.ts";
import { adoptTurns, loseTurns } from "./recovery-store.ts";
import { ownChat, sessionKey } from "./session-key.ts";
import { turnCancelled } from "./sessions-errors.ts";
import { sessionsFixture } from "./test/sessions-fixture.ts";
import { entryInsertStatement, listEntries } from "./transcript-store.ts";
import { LOSS_ERRORS } from "./turn-dispatcher.ts";
import { turnUpdateStatement } from "./turn-ingest-store.ts";
import { cancelTurn, claimTurns, failQueued, findTurn, giveBackOffers, repeatOffers } from "./turn-store.ts";
import { advanceTurn, type TurnProgress, type TurnTransition } from "./turn.ts";

const fixture = sessionsFixture({ beforeAll, afterEach, afterAll });
const GATEWAY = "gateway";

/** A turn that waits, of a session and an agent of its own. */
async function queuedTurn(): Promise<{ turnId: string; agentId: string; sessionId: string }> {
  const [turnId, sessionId, agentId] = [crypto.randomUUID(), crypto.randomUUID(), fixture.newAgent()];
  const stored = await storeTurn(
    fixture.database,
    {
      turnId,
      agentId,
      message: "hello",
      title: "hello",
      userId: "u",
      sender: "u",
      requestId: "",
      traceparent: "",
      conversation: {
        kind: "key",
        key: sessionKey(agentId, ownChat(sessionId)),
        channel: "api",
        newSessionId: sessionId,
      },
      onDisconnect: DisconnectPolicy.CONTINUE,
      gatewayId: GATEWAY,
      offer: false,
    },
    10,
  );
  expect(stored.kind).toBe("new");
  return { turnId, agentId, sessionId };
}

const attempt = integer({ min: 0, max: 3 });
const transition = oneof(
  constantFrom<TurnTransition>(
    { kind: "offer" },
    { kind: "offer" },
    { kind: "lose" },
    { kind: "cancel" },
    { kind: "fail" },
  ),
  record({ kind: constantFrom("repeat-offer" as const, "give-back" as const, "adopt" as const), attempt }),
  record({
    kind: constant("change" as const),
    attempt,
    state: constantFrom(TurnState.RUNNING, TurnState.RUNNING, TurnState.SUCCEEDED, TurnState.INTERRUPTED),
    toolStarted: boolean(),
  }),
);

/** The same transition, as its statement. */
async function carryOut(turnId: string, agentId: string, event: TurnTransition, current: number): Promise<void> {
  const db = fixture.database;
  switch (event.kind) {
    case "offer":
      await claimTurns(db, GATEWAY, [agentId], undefined, 10);
      return;
    case "repeat-offer":
      await repeatOffers(db, GATEWAY, [{ turnId, attempt: event.attempt }]);
      return;
    case "give-back":
      await giveBackOffers(db, [{ turnId, attempt: event.attempt }], LOSS_ERRORS);
      return;
    case "change": {
      const update = {
        ...event,
        turnId,
        startMs: 5,
        endMs: undefined,
        error: undefined,
        usage: undefined,
        answer: "a",
      };
      await db.query(turnUpdateStatement([update], Date.now()));
      return;
    }
    case "adopt":
      // Guarded by the plan of the attach, which goes by the attempt.
      if (event.attempt === current && current > 0) await adoptTurns(db, GATEWAY, [turnId]);
      return;
    case "lose":
      await loseTurns(db, [turnId], LOSS_ERRORS);
      return;
    case "cancel":
      await cancelTurn(db, turnId, turnCancelled("asked"));
      return;
    case "fail":
      await failQueued(db, agentId, turnCancelled("can't run"));
  }
}

test("the statements keep the rules of the pure state machine, in any order of events", async () => {
  await assert(
    asyncProperty(array(transition, { minLength: 4, maxLength: 14 }), async (events) => {
      const { turnId, agentId } = await queuedTurn();
      let expected: TurnProgress = { state: TurnState.QUEUED, attempt: 0, toolStarted: false, cancelRequested: false };
      for (const event of events) {
        await carryOut(turnId, agentId, event, expected.attempt);
        // loseTurns is for turns under way; a queued one whose tool had started is found by the search for lost turns.
        if (event.kind !== "lose" || expected.state !== TurnState.QUEUED) {
          expected = advanceTurn(expected, event) ?? expected;
        }
        const found = await findTurn(fixture.database, turnId);
        expect({
          state: found?.turn.state,
          attempt: found?.turn.attempt,
          toolStarted: found?.toolStarted,
          cancelRequested: found?.cancelReason !== undefined,
        }).toEqual(expected);
        const ended = expected.state >= TurnState.SUCCEEDED;
        expect(found?.turn.endTime === undefined).toBe(!ended);
        if (expected.state === TurnState.QUEUED) expect(found?.turn.startTime).toBeUndefined();
      }
    }),
    { numRuns: 60 },
  );
}, 60_000);

test("two gateways that claim at once never take the same turn, nor two of one session, nor out of order", async () => {
  const agentId = fixture.newAgent();
  const sessions = Array.from({ length: 5 }, () => crypto.randomUUID());
  for (let i = 0; i < 20; i++) {
    await storeTurn(
      fixture.database,
      {
        turnId: crypto.randomUUID(),
        agentId,
        message: `${i}`,
        title: "t",
        userId: "u",
        sender: "u",
        requestId: "",
        traceparent: "",
        conversation: {
          kind: "key",
          key: sessionKey(agentId, ownChat(sessions[i % 5] as string)),
          channel: "api",
          newSessionId: sessions[i % 5] as string,
        },
        onDisconnect: DisconnectPolicy.CONTINUE,
        gatewayId: GATEWAY,
        offer: false,
      },
      1000,
    );
  }
  const order = new Map<string, string[]>();
  for (let round = 0; round < 4; round++) {
    const claims = await Promise.all(
      Array.from({ length: 6 }, (_, i) => claimTurns(fixture.database, `gateway-${i}`, [agentId], undefined, 3)),
    );
    const rest = await claimTurns(fixture.database, GATEWAY, [agentId], undefined, 10);
    const claimed = [...claims.flat(), ...rest].map(({ record: { turn } }) => turn);
    expect(new Set(claimed.map((turn) => turn.sessionId)).size).toBe(5);
    expect(claimed).toHaveLength(5);
    for (const turn of claimed) order.set(turn.sessionId, [...(order.get(turn.sessionId) ?? []), turn.message]);
    const ends = claimed.map((turn) => ({
      turnId: turn.id,
      attempt: turn.attempt,
      state: TurnState.SUCCEEDED,
      toolStarted: false,
      answer: "",
      startMs: undefined,
      endMs: undefined,
      error: undefined,
      usage: undefined,
    }));
    await fixture.database.query(turnUpdateStatement(ends, Date.now()));
  }
  for (const messages of order.values()) {
    expect(messages).toEqual(messages.toSorted((a, b) => Number(a) - Number(b)));
    expect(messages).toHaveLength(4);
  }
});

test("entries of another session, of a turn that had ended and of a position that is taken are left out", async () => {
  const [mine, other, ended] = [await queuedTurn(), await queuedTurn(), await queuedTurn()];
  await cancelTurn(fixture.database, ended.turnId, turnCancelled("asked"));
  const entry = (of: { turnId: string; sessionId: string }, position: bigint, text: string) =>
    create(TranscriptEntrySchema, {
      turnId: of.turnId,
      sessionId: of.sessionId,
      position,
      entry: { case: "userMessage", value: { text } },
    });
  const insert = (...entries: ReturnType<typeof entry>[]) => fixture.database.query(entryInsertStatement(entries));
  await insert(entry(mine, 1n, "first"), entry(mine, 0n, "nowhere"), entry(ended, 1n, "too late"));
  await insert(
    entry({ ...mine, sessionId: other.sessionId }, 1n, "smuggled"),
    entry(mine, 1n, "second"),
    entry(mine, 2n, "x"),
  );
  const texts = async (sessionId: string) => {
    const { entries } = await listEntries(fixture.database, sessionId, 0n, { maxEntries: 10, maxBytes: 1000 });
    return entries.map(
      (one) => one.entry.value?.$typeName === "openhermit.sessions.v1.UserMessage" && one.entry.value.text,
    );
  };
  expect(await texts(mine.sessionId)).toEqual(["first", "x"]);
  expect(await texts(other.sessionId)).toEqual([]);
  expect(await texts(ended.sessionId)).toEqual([]);
});

test("a page of a transcript is bounded in entries and bytes, and never empty while there is more", async () => {
  const { turnId, sessionId } = await queuedTurn();
  const entries = Array.from({ length: 10 }, (_, i) =>
    create(TranscriptEntrySchema, {
      turnId,
      sessionId,
      position: BigInt(i + 1),
      entry: { case: "userMessage", value: { text: "x".repeat(1000) } },
    }),
  );
  await fixture.database.query(entryInsertStatement(entries));
  const page = async (after: bigint, maxEntries: number, maxBytes: number) => {
    const found = await listEntries(fixture.database, sessionId, after, { maxEntries, maxBytes });
    return [found.entries.map(({ position }) => Number(position)), found.more];
  };
  expect(await page(0n, 3, 1e9)).toEqual([[1, 2, 3], true]);
  expect(await page(0n, 100, 2500)).toEqual([[1, 2, 3], true]);
  expect(await page(7n, 100, 1)).toEqual([[8], true]);
  expect(await page(7n, 3, 1e9)).toEqual([[8, 9, 10], false]);
  expect(await page(10n, 3, 1e9)).toEqual([[], false]);
});

test("the statements of a batch are parts of one statement, whatever a sidecar's clock and text say", async () => {
  const { turnId, sessionId, agentId } = await queuedTurn();
  await claimTurns(fixture.database, GATEWAY, [agentId], undefined, 1);
  const update = {
    turnId,
    attempt: 1,
    state: TurnState.SUCCEEDED,
    toolStarted: false,
    error: undefined,
    usage: undefined,
    startMs: -5e15,
    endMs: 9e18,
    answer: "nul \0 here",
  };
  const entry = create(TranscriptEntrySchema, { turnId, sessionId, position: 1n, entry: { case: undefined } });
  const parts = [
    rawSql("WITH a AS ("),
    turnUpdateStatement([update], Date.now()),
    rawSql("), b AS ("),
    entryInsertStatement([entry]),
    sql`) SELECT 1`,
  ];
  await fixture.database.query(joinSql(parts, ""));
  const found = await findTurn(fixture.database, turnId);
  expect(found?.turn.answer).toBe("nul  here");
  // The end of the turn and its last entry come in one statement: the entry counts.
  const { entries } = await listEntries(fixture.database, sessionId, 0n, { maxEntries: 10, maxBytes: 1000 });
  expect(entries).toHaveLength(1);
  expect(found?.turn.startTime).toEqual(found?.turn.createTime);
});
