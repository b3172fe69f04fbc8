import { create } from "@bufbuild/protobuf";
import { invalidArgument, unavailable } from "@openhermit/errors";
import { EventSchema, type Event } from "@openhermit/protocol/activity/v1/event";
import { expect, test } from "vitest";

import { batchEvents } from "./batch-events.ts";

const event = (id: string): Event => create(EventSchema, { id });

/** A log that notes what it was given together, and waits at a gate. */
function slowLog(refuse: (events: readonly Event[]) => Error | undefined = () => undefined) {
  const statements: string[] = [];
  let open: () => void = () => {};
  let gate: Promise<void> | undefined;
  return {
    statements,
    hold() {
      gate = new Promise((resolve) => (open = resolve));
    },
    release() {
      gate = undefined;
      open();
    },
    append: batchEvents(async (events) => {
      statements.push(events.map(({ id }) => id).join(" "));
      await gate;
      const error = refuse(events);
      if (error !== undefined) throw error;
    }),
  };
}

test("what comes in one moment, and what comes while that is stored, is two statements, in order", async () => {
  const log = slowLog();
  log.hold();
  const first = [log.append([event("a"), event("b")]), log.append([event("c")])];
  await new Promise((resolve) => setImmediate(resolve));
  const second = Array.from({ length: 5 }, (_, i) => log.append([event(`${i}`)]));
  log.release();
  await Promise.all([...first, ...second]);
  expect(log.statements).toEqual(["a b c", "0 1 2 3 4"]);
  await log.append([event("later")]);
  expect(log.statements.at(-1)).toBe("later");
});

test("a statement stays bounded, and a caller's events are never torn apart", async () => {
  const log = slowLog();
  const many = (name: string, count: number) => Array.from({ length: count }, (_, i) => event(`${name}${i}`));
  await Promise.all([many("a", 600), many("b", 600), many("c", 1500), many("d", 1)].map((each) => log.append(each)));
  expect(log.statements.map((ids) => ids.split(" ").length)).toEqual([600, 600, 1500, 1]);
});

test("events that can't be stored take nobody else's with them", async () => {
  const log = slowLog((events) =>
    events.some(({ id }) => id === "bad") ? invalidArgument("EVENT_INVALID", "can't be stored") : undefined,
  );
  const results = await Promise.allSettled([
    log.append([event("a")]),
    log.append([event("bad")]),
    log.append([event("b")]),
  ]);
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(log.statements).toEqual(["a bad b", "a", "bad", "b"]);
});

test("while the database is away all are refused at once, without a try for each", async () => {
  const log = slowLog(() => unavailable("DATABASE_UNAVAILABLE", "away"));
  const results = await Promise.allSettled(["a", "b", "c"].map((id) => log.append([event(id)])));
  expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
  expect(log.statements).toEqual(["a b c"]);
});
