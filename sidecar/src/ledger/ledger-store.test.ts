import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

import { create } from "@bufbuild/protobuf";
import { EventSchema } from "@openhermit/protocol/activity/v1/event";
import { RunTurnSchema } from "@openhermit/protocol/mesh/v1/link_service";
import { TurnChangeSchema } from "@openhermit/protocol/mesh/v1/outbox";
import { TranscriptEntrySchema, TurnState, type TranscriptEntry } from "@openhermit/protocol/sessions/v1/session";
import { temporaryDirectory, type TemporaryDirectory } from "@openhermit/testing";
import { afterEach, beforeEach, expect, test } from "vitest";

import { openLedger, type Ledger, type LedgerOptions } from "./ledger-store.ts";

let home: TemporaryDirectory;
let open: Ledger[] = [];

const ledgerAt = (options: Partial<LedgerOptions> = {}): Ledger => {
  const ledger = openLedger({
    path: join(home.path, "ledger.sqlite"),
    transcripts: { sessionBytes: 4000, totalBytes: 10_000 },
    ...options,
  });
  open.push(ledger);
  return ledger;
};
const reopen = (ledger: Ledger, options: Partial<LedgerOptions> = {}): Ledger => {
  ledger.close();
  return ledgerAt(options);
};
const event = (id: string) => ({ case: "event", value: create(EventSchema, { id }) }) as const;
const append = (ledger: Ledger, ...entries: [id: string, turnId?: string][]): void =>
  ledger.transaction(() => {
    for (const [id, turnId] of entries) ledger.outbox.append(event(id), turnId);
  });
const contents = (ledger: Ledger, after = ledger.outbox.acknowledged): [number, string][] =>
  ledger.outbox
    .read(after, 100, 1e6)
    .map(({ entry }) => [Number(entry.sequence), entry.body.case === "event" ? entry.body.value.id : ""]);
const say = (sessionId: string, position: number, text = "x", user = position % 2 === 1): TranscriptEntry =>
  create(TranscriptEntrySchema, {
    sessionId,
    turnId: "t",
    position: BigInt(position),
    entry: user ? { case: "userMessage", value: { text } } : { case: "assistantMessage", value: { text } },
  });

beforeEach(async () => {
  home = await temporaryDirectory();
});
afterEach(async () => {
  for (const ledger of open) ledger.close();
  open = [];
  await home.remove();
});

test("numbers go on where they were, also when everything is acknowledged and gone", () => {
  let ledger = ledgerAt();
  const { id } = ledger;
  append(ledger, ["a"], ["b"], ["c"]);
  ledger.outbox.acknowledge(2);
  append(ledger, ["d"]);
  ledger = reopen(ledger);
  expect(ledger.id).toBe(id);
  expect(contents(ledger)).toEqual([
    [3, "c"],
    [4, "d"],
  ]);
  expect([ledger.outbox.acknowledged, ledger.outbox.last]).toEqual([2, 4]);
  ledger.outbox.acknowledge(4);
  ledger.tidy();
  expect(ledger.outbox.bytes).toBe(0);
  ledger = reopen(ledger);
  append(ledger, ["e"]);
  expect(contents(ledger)).toEqual([[5, "e"]]);
});

test("a long outbox that is acknowledged goes in parts, also when the process ends between them", () => {
  let ledger = ledgerAt();
  append(ledger, ...Array.from({ length: 2500 }, (_, index): [string] => [`${index}`]));
  ledger.outbox.acknowledge(2400);
  append(ledger, ["more"]);
  expect(ledger.outbox.prunable).toBe(true);
  ledger = reopen(ledger);
  expect(contents(ledger)).toHaveLength(100);
  expect(contents(ledger, 0)).toHaveLength(100);
  expect([ledger.outbox.prunable, ledger.outbox.acknowledged, ledger.outbox.last]).toEqual([true, 2400, 2501]);
  ledger.tidy();
  expect(ledger.outbox.prunable).toBe(false);
  expect(contents(ledger, 0)[0]).toEqual([2401, "2400"]);
});

test("a transaction that fails leaves nothing, neither on disk nor in the counters", () => {
  const ledger = ledgerAt();
  append(ledger, ["a"]);
  const before = ledger.outbox.bytes;
  const heard: number[] = [];
  ledger.outbox.onAppended((entries) => heard.push(...entries.map(({ entry }) => Number(entry.sequence))));
  const work = (): void => {
    append(ledger, ["b"]);
    ledger.transcripts.add(say("s", 1), 2);
    throw new Error("on second thoughts");
  };
  expect(() => ledger.transaction(work)).toThrow("on second thoughts");
  expect([ledger.outbox.last, ledger.outbox.bytes, ledger.transcripts.bytes]).toEqual([1, before, 0]);
  expect(ledger.transcripts.tail("s")).toBe(0);
  append(ledger, ["c"]);
  expect(contents(ledger)).toEqual([
    [1, "a"],
    [2, "c"],
  ]);
  expect(heard).toEqual([2]);
});

test("a dead turn vanishes from the outbox, and the rest closes up", () => {
  let ledger = ledgerAt();
  append(ledger, ["a", "dead"], ["b"], ["c", "dead"], ["d", "alive"], ["e", "dead"], ["f"]);
  ledger = reopen(ledger);
  // The gateway has the first two; what it has stays.
  const { dropped, renumbered } = ledger.transaction(() => ledger.outbox.realign(2, new Set(["dead"]), true));
  expect(dropped.map(({ sequence }) => Number(sequence))).toEqual([3, 5]);
  expect(renumbered).toBe(true);
  expect(contents(ledger)).toEqual([
    [3, "d"],
    [4, "f"],
  ]);
  append(ledger, ["g"]);
  const { bytes } = ledger.outbox;
  ledger = reopen(ledger);
  expect(contents(ledger)).toEqual([
    [3, "d"],
    [4, "f"],
    [5, "g"],
  ]);
  expect(ledger.outbox.bytes).toBe(bytes);
});

test("numbers that a power cut took away are not used again for something else", () => {
  let ledger = ledgerAt();
  append(ledger, ["a"], ["b"]);
  ledger = reopen(ledger);
  // The gateway has four: "c" and "d" were sent and then lost here. What is written before the Welcome must not pass for them.
  append(ledger, ["new 1"], ["new 2"], ["new 3"]);
  ledger.transaction(() => ledger.outbox.realign(4, new Set(), true));
  expect(contents(ledger)).toEqual([
    [5, "new 1"],
    [6, "new 2"],
    [7, "new 3"],
  ]);
  // From then on a cursor means what it says.
  ledger.transaction(() => ledger.outbox.realign(6, new Set(), false));
  expect(contents(ledger)).toEqual([[7, "new 3"]]);
  // A gateway that was set back to a backup goes on where it is.
  ledger.transaction(() => ledger.outbox.realign(1, new Set(), false));
  expect(contents(ledger)).toEqual([[2, "new 3"]]);
  expect([ledger.outbox.acknowledged, ledger.outbox.last]).toEqual([1, 2]);
});

test("a session over its bound forgets its oldest turns, never a part of one", () => {
  const ledger = ledgerAt();
  ledger.transaction(() => {
    for (let position = 1; position <= 20; position++) ledger.transcripts.add(say("s", position, "x".repeat(400)), 0);
  });
  const kept = ledger.transcripts.read("s");
  expect(kept[0]?.entry.case).toBe("userMessage");
  expect(kept.at(-1)?.position).toBe(20n);
  expect(kept.length).toBeLessThan(10);
  expect(ledger.transcripts.bytes).toBeLessThanOrEqual(4000);
  expect(ledger.transcripts.tail("s")).toBe(20);
  expect(reopen(ledger).transcripts.bytes).toBe(ledger.transcripts.bytes);
});

test("over the bound of all, the sessions that were not used for longest go; what only this ledger has stays", () => {
  const ledger = ledgerAt();
  ledger.transcripts.pin("pinned");
  for (const [session, sequence] of [
    ["pinned", 0],
    ["unsent", 5],
    ["old", 0],
    ["new", 0],
  ] as const) {
    ledger.transaction(() => ledger.transcripts.add(say(session, 1, "x".repeat(2800)), sequence));
  }
  expect(["pinned", "unsent", "old", "new"].map((session) => ledger.transcripts.tail(session))).toEqual([1, 1, 0, 1]);
  expect(ledger.transcripts.bytes).toBeLessThanOrEqual(10_000);
});

test("turns are named until their end is acknowledged, and forgotten a minute later", () => {
  const ledger = ledgerAt();
  const change = (turnId: string) => create(TurnChangeSchema, { turnId, attempt: 1, state: TurnState.SUCCEEDED });
  ledger.transaction(() => {
    for (const turnId of ["a", "b"]) ledger.turns.open(create(RunTurnSchema, { turnId, attempt: 1 }));
    ledger.turns.end(change("a"), ledger.outbox.append({ case: "turnChange", value: change("a") }));
  });
  const named = (): string[] => ledger.turns.listUnsettled(ledger.outbox.acknowledged).map(({ turnId }) => turnId);
  expect(named()).toEqual(["a", "b"]);
  ledger.outbox.acknowledge(1);
  expect(named()).toEqual(["b"]);
  ledger.transaction(() => ledger.turns.removeSettled(1, Date.now() - 60_000));
  expect(ledger.turns.get("a")?.state).toBe("ended");
  ledger.transaction(() => ledger.turns.removeSettled(1, Date.now() + 1));
  expect(ledger.turns.get("a")).toBeUndefined();
  expect(ledger.turns.get("b")?.state).toBe("open");
});

test("a full disk is said, costs nothing that was written, and heals", () => {
  const ledger = ledgerAt({ maxBytes: 200_000 });
  const changes: (string | undefined)[] = [];
  ledger.onProblem(() => changes.push(ledger.problem()?.message));
  let written = 0;
  const fill = (): void => {
    for (;;) {
      append(ledger, [`${written} ${"x".repeat(3000)}`]);
      written += 1;
    }
  };
  expect(fill).toThrow("the disk that holds the sidecar's ledger is full");
  expect(written).toBeGreaterThan(10);
  expect(contents(ledger)).toHaveLength(written);
  expect(ledger.outbox.last).toBe(written);
  ledger.outbox.acknowledge(written);
  ledger.tidy();
  append(ledger, ["room again"]);
  expect(contents(ledger)).toEqual([[written + 1, "room again"]]);
  expect(changes).toEqual(["the disk that holds the sidecar's ledger is full", undefined]);
});

test("a record that no message of the mesh could carry is refused", () => {
  const ledger = ledgerAt();
  expect(() => append(ledger, ["x".repeat(4 * 1024 * 1024)])).toThrow(/too large/);
  expect(ledger.outbox.last).toBe(0);
});

test("a ledger that is open elsewhere, newer or damaged is refused with a sentence", () => {
  const path = join(home.path, "ledger.sqlite");
  const ledger = ledgerAt();
  expect(() => ledgerAt()).toThrow(`another process holds the sidecar's ledger ${path}`);
  ledger.close();
  const db = new DatabaseSync(path);
  db.exec("PRAGMA user_version = 99");
  db.close();
  expect(() => ledgerAt()).toThrow("written by a newer version");
  writeFileSync(path, "this is not a ledger".repeat(1000));
  expect(() => ledgerAt()).toThrow(/can't be used/);
});
