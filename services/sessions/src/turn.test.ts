import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { TurnChangeSchema, type TurnChange } from "@openhermit/protocol/mesh/v1/outbox";
import { TurnState, UsageSchema } from "@openhermit/protocol/sessions/v1/session";
import { assert, constant, constantFrom, array, boolean, integer, oneof, property, record } from "fast-check";
import { describe, expect, test } from "vitest";
import { ownChat, sessionKey } from "./session-key.ts";
import { titleOf } from "./session.ts";
import { collapseChanges } from "./turn-change.ts";
import { advanceTurn, isEnd, isUnderWay, judgeOnAttach, type TurnProgress, type TurnTransition } from "./turn.ts";

const QUEUED: TurnProgress = { state: TurnState.QUEUED, attempt: 0, toolStarted: false, cancelRequested: false };
const ENDS = [TurnState.SUCCEEDED, TurnState.FAILED, TurnState.CANCELLED, TurnState.INTERRUPTED] as const;
const attempt = integer({ min: 0, max: 4 });
const transition = oneof(
  constantFrom<TurnTransition>({ kind: "offer" }, { kind: "lose" }, { kind: "cancel" }, { kind: "fail" }),
  record({ kind: constantFrom("repeat-offer" as const, "give-back" as const, "adopt" as const), attempt }),
  record({
    kind: constant("change" as const),
    attempt,
    state: constantFrom(TurnState.RUNNING, TurnState.RUNNING, ...ENDS),
    toolStarted: boolean(),
  }),
);

describe("the states of a turn, in any order of events", () => {
  test("an end never changes, attempts only grow, and what a tool touched never runs again", () => {
    let ends = 0;
    assert(
      property(array(transition, { maxLength: 30 }), (events) => {
        let turn = QUEUED;
        for (const event of events) {
          const next = advanceTurn(turn, event);
          if (next === undefined) continue;
          expect(isEnd(turn.state)).toBe(false);
          expect(next.attempt).toBeGreaterThanOrEqual(turn.attempt);
          expect(next.toolStarted).toBe(turn.toolStarted || (event.kind === "change" && event.toolStarted));
          if (turn.toolStarted && !isUnderWay(turn.state)) expect(event.kind).not.toBe("offer");
          if (turn.cancelRequested) expect(event.kind).not.toBe("offer");
          if (event.kind === "change") expect(event.attempt).toBe(turn.attempt);
          if (isUnderWay(next.state)) expect(next.attempt).toBeGreaterThan(0);
          turn = next;
        }
        if (isEnd(turn.state)) ends += 1;
      }),
      { numRuns: 2000 },
    );
    expect(ends).toBeGreaterThan(500);
  });

  test("whatever has happened, a turn can still be brought to an end without its sidecar", () => {
    assert(
      property(array(transition, { maxLength: 20 }), (events) => {
        let turn = QUEUED;
        for (const event of events) turn = advanceTurn(turn, event) ?? turn;
        for (const event of [{ kind: "cancel" }, { kind: "lose" }] as const) turn = advanceTurn(turn, event) ?? turn;
        expect(isEnd(turn.state)).toBe(true);
      }),
    );
  });

  test.each([
    [TurnState.OFFERED, 2, 2, false, false, "adopt"],
    [TurnState.QUEUED, 2, 2, false, false, "adopt"],
    [TurnState.QUEUED, 2, 2, true, false, "keep"],
    [TurnState.RUNNING, 2, 1, false, false, "lose"],
    [TurnState.OFFERED, 1, undefined, false, false, "lose"],
    [TurnState.OFFERED, 1, undefined, false, true, "keep"],
    [TurnState.QUEUED, 1, undefined, false, false, "keep"],
  ] as const)(
    "on attach, state %i of attempt %i with %s in the ledger: %s %s → %s",
    (state, at, ledger, busy, else_, verdict) => {
      expect(judgeOnAttach({ state, attempt: at }, ledger, busy, else_)).toBe(verdict);
    },
  );
});

describe("several changes of one turn in a batch", () => {
  const change = record({
    turnId: constantFrom("a", "b"),
    attempt: constantFrom(1, 2),
    state: constantFrom(TurnState.RUNNING, TurnState.RUNNING, TurnState.RUNNING, ...ENDS),
    toolStarted: boolean(),
    ms: integer({ min: 1, max: 1000 }),
    calls: integer({ min: 1, max: 9 }),
  }).map(({ turnId, attempt: at, state, toolStarted, ms, calls }) =>
    create(TurnChangeSchema, {
      turnId,
      attempt: at,
      state,
      toolStarted,
      time: timestampFromMs(ms),
      usage: create(UsageSchema, { modelCalls: calls }),
      answer: isEnd(state) ? `answer ${ms}` : "",
    }),
  );
  const progress = ({ attempt: at, state, toolStarted }: Pick<TurnChange, "attempt" | "state" | "toolStarted">) =>
    ({ kind: "change", attempt: at, state, toolStarted }) as const;

  test("come to the same as one after the other", () => {
    assert(
      property(array(change, { minLength: 1, maxLength: 12 }), constantFrom(1, 2), (changes, at) => {
        const updates = collapseChanges(changes);
        expect(new Set(updates.map((update) => `${update.turnId}/${update.attempt}`)).size).toBe(updates.length);
        expect(updates.map(({ turnId }) => turnId)).toEqual(updates.map(({ turnId }) => turnId).toSorted());
        for (const turnId of ["a", "b"]) {
          const said = changes.filter((one) => one.turnId === turnId && one.attempt === at);
          let stepwise: TurnProgress = { ...QUEUED, state: TurnState.OFFERED, attempt: at };
          for (const one of said) stepwise = advanceTurn(stepwise, progress(one)) ?? stepwise;
          const update = updates.find((one) => one.turnId === turnId && one.attempt === at);
          if (update === undefined) {
            expect(said).toEqual([]);
            continue;
          }
          const start: TurnProgress = { ...QUEUED, state: TurnState.OFFERED, attempt: at };
          const once = advanceTurn(start, progress(update));
          expect(once?.state).toBe(stepwise.state);
          // A tool that started after the end is not to be believed either way; it is kept on the safe side.
          if (!isEnd(stepwise.state)) expect(once?.toolStarted).toBe(stepwise.toolStarted);
          const end = said.findIndex((one) => isEnd(one.state));
          const counted = end === -1 ? said : said.slice(0, end + 1);
          expect(update.usage?.modelCalls).toBe(counted.at(-1)?.usage?.modelCalls);
          expect(update.answer).toBe(end === -1 ? "" : said[end]?.answer);
        }
      }),
    );
  });
});

test("the key of a session names its place; a title is a beginning and never half a character", () => {
  const chat = { platform: "telegram", chatType: "group", chatId: "-100", threadId: "" };
  expect(sessionKey("one", chat)).toBe("agent:one:telegram:group:-100");
  expect(sessionKey("one", { ...chat, threadId: "7" })).toBe("agent:one:telegram:group:-100:7");
  expect(sessionKey("one", ownChat("s"))).toBe("agent:one:api:dm:s");
  expect(titleOf("short")).toBe("short");
  expect(titleOf("🦀".repeat(200))).toBe("🦀".repeat(120));
});
