import fc from "fast-check";
import { expect, test } from "vitest";
import { admit, rebase, type StoredCursor } from "./cursor.ts";

const entries = (...sequences: number[]) => sequences.map((sequence) => ({ sequence: BigInt(sequence) }));

test.each([
  [0, [1, 2, 3], { kind: "take", from: 0 }],
  [2, [1, 2, 3, 4], { kind: "take", from: 2 }],
  [2, [3], { kind: "take", from: 0 }],
  [3, [1, 2, 3], { kind: "duplicate" }],
  [9, [1], { kind: "duplicate" }],
  [0, [2], { kind: "gap", expected: 1, got: 2 }],
  [5, [8, 9], { kind: "gap", expected: 6, got: 8 }],
  [0, [1, 3], { kind: "disorder", expected: 2, got: 3n }],
  [0, [1, 1], { kind: "disorder", expected: 2, got: 1n }],
  [0, [0], { kind: "disorder", expected: 1, got: 0n }],
])("after %i, a batch %o: %o", (cursor, sequences, expected) => {
  expect(admit(cursor, entries(...sequences))).toEqual(expected);
});

test("a sequence that is no safe integer is refused", () => {
  expect(admit(0, [{ sequence: 2n ** 60n }]).kind).toBe("disorder");
  expect(admit(0, [{ sequence: -1n }]).kind).toBe("disorder");
});

const share = { epoch: 2n, ledgerId: "l", after: 10, upTo: 20 };

test.each([
  [undefined, { kind: "fenced" }],
  [{ epoch: 3n, ledgerId: "l", cursor: 10 }, { kind: "fenced" }],
  [{ epoch: 2n, ledgerId: "m", cursor: 10 }, { kind: "fenced" }],
  [
    { epoch: 2n, ledgerId: "l", cursor: 9 },
    { kind: "gap", cursor: 9 },
  ],
  [
    { epoch: 2n, ledgerId: "l", cursor: 10 },
    { kind: "rest", after: 10 },
  ],
  [
    { epoch: 2n, ledgerId: "l", cursor: 15 },
    { kind: "rest", after: 15 },
  ],
  [
    { epoch: 2n, ledgerId: "l", cursor: 20 },
    { kind: "stored", cursor: 20, exactly: true },
  ],
  [
    { epoch: 2n, ledgerId: "l", cursor: 21 },
    { kind: "stored", cursor: 21, exactly: false },
  ],
] satisfies [StoredCursor | undefined, object][])("a share 11 to 20 over %o: %o", (stored, expected) => {
  expect(rebase(share, stored)).toEqual(expected);
});

/** A stream as the gateway sees it: what it took, and the share that is on its way to the database. */
interface Lane {
  epoch: bigint;
  ledgerId: string;
  taken: number;
  waiting: string[];
  flight: { after: number; entries: string[] } | undefined;
}

/**
 * The rules against a sidecar, a database and a network at their worst. The sidecar keeps every entry until it is acknowledged;
 * the database compares and moves the cursor with the rows, as the flush statement does.
 */
class World {
  readonly rows: string[] = [];
  readonly written: string[] = [];
  stored: StoredCursor = { epoch: 0n, ledgerId: "", cursor: 0 };
  ledger = { id: "ledger-1", entries: [] as string[], acknowledged: 0 };
  /** Streams the gateway still works on; the last is the sidecar's. */
  lanes: Lane[] = [];
  sent = 0;

  write(count: number): void {
    for (let i = 0; i < count; i++) {
      const entry = `${this.ledger.id}/${this.ledger.entries.length + 1}`;
      this.ledger.entries.push(entry);
      this.written.push(entry);
    }
  }

  attach(): void {
    const cursor = this.stored.ledgerId === this.ledger.id ? this.stored.cursor : 0;
    this.stored = { epoch: this.stored.epoch + 1n, ledgerId: this.ledger.id, cursor };
    this.publish();
  }

  /** A new stream of the same epoch: the sidecar goes on after the cursor it is told. */
  publish(): void {
    if (this.stored.epoch === 0n) return;
    const { epoch, ledgerId, cursor } = this.stored;
    for (const lane of this.lanes) lane.waiting = [];
    this.lanes = [
      ...this.lanes.filter((lane) => lane.flight !== undefined),
      { epoch, ledgerId, taken: cursor, waiting: [], flight: undefined },
    ];
    this.ledger.acknowledged = Math.max(this.ledger.acknowledged, cursor);
    this.sent = cursor;
  }

  /** Sends the next batch, or one again from some entries before. */
  send(count: number, again: number): void {
    const lane = this.lanes.at(-1);
    if (lane === undefined) return;
    const from = Math.max(0, this.sent - again);
    const batch = this.ledger.entries
      .slice(from, from + count)
      .map((entry, i) => ({ entry, sequence: BigInt(from + i + 1) }));
    if (batch.length === 0) return;
    const admission = admit(lane.taken, batch);
    expect(admission.kind).toMatch(/take|duplicate/);
    this.sent = Math.max(this.sent, from + batch.length);
    if (admission.kind !== "take") return;
    const taken = batch.slice(admission.from).map(({ entry }) => entry);
    lane.waiting.push(...taken);
    lane.taken += taken.length;
  }

  flush(index: number, outcome: "done" | "done, answer lost" | "failed"): void {
    const lane = this.lanes[index % Math.max(1, this.lanes.length)];
    if (lane === undefined) return;
    if (lane.flight === undefined) {
      if (lane.waiting.length === 0) return;
      lane.flight = { after: lane.taken - lane.waiting.length, entries: lane.waiting };
      lane.waiting = [];
    }
    const { epoch, ledgerId, flight } = lane;
    const upTo = flight.after + flight.entries.length;
    if (outcome === "failed") return;
    const fresh =
      this.stored.epoch === epoch && this.stored.ledgerId === ledgerId && this.stored.cursor === flight.after;
    if (fresh) {
      this.rows.push(...flight.entries);
      this.stored = { ...this.stored, cursor: upTo };
      if (outcome === "done") this.landed(lane, upTo);
      return;
    }
    const verdict = rebase({ epoch, ledgerId, after: flight.after, upTo }, this.stored);
    expect(verdict.kind).not.toBe("gap");
    if (verdict.kind === "rest")
      lane.flight = { after: verdict.after, entries: flight.entries.slice(verdict.after - flight.after) };
    else if (verdict.kind === "stored") this.landed(lane, upTo);
    else this.lanes = this.lanes.filter((each) => each !== lane);
  }

  landed(lane: Lane, upTo: number): void {
    lane.flight = undefined;
    if (lane === this.lanes.at(-1)) this.ledger.acknowledged = Math.max(this.ledger.acknowledged, upTo);
    else this.lanes = this.lanes.filter((each) => each !== lane);
  }

  /** The sidecar loses its disk, after all was acknowledged: what is lost with the disk can't come again. */
  newLedger(): void {
    this.settle();
    this.ledger = { id: `ledger-${Number(this.ledger.id.slice(7)) + 1}`, entries: [], acknowledged: 0 };
    this.attach();
  }

  /** Everything works for long enough. */
  settle(): void {
    if (this.stored.epoch === 0n) this.attach();
    for (let i = 0; i < 1000; i++) {
      this.send(50, 0);
      this.lanes.forEach((_, index) => this.flush(index, "done"));
      const lane = this.lanes.at(-1);
      if (lane === undefined) this.publish();
      else if (lane.flight === undefined && lane.waiting.length === 0 && this.sent === this.ledger.entries.length)
        return;
    }
    throw new Error("the world does not come to rest");
  }
}

const small = fc.nat(7);
const step = fc.oneof(
  small.map((n) => (world: World) => world.write(n)),
  fc.tuple(small, fc.nat(12)).map(
    ([count, again]) =>
      (world: World) =>
        world.send(count + 1, again),
  ),
  fc
    .tuple(
      fc.nat(4),
      fc.constantFrom("done" as const, "done" as const, "done, answer lost" as const, "failed" as const),
    )
    .map(
      ([index, outcome]) =>
        (world: World) =>
          world.flush(index, outcome),
    ),
  fc.constant((world: World) => world.publish()),
  fc.constant((world: World) => world.attach()),
  fc.constant((world: World) => world.newLedger()),
);

test("whatever is resent, cut, replaced or lost: every entry is stored exactly once and in order", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const world = new World();
      for (const run of steps) {
        run(world);
        expect(world.ledger.acknowledged).toBeLessThanOrEqual(
          world.stored.ledgerId === world.ledger.id ? world.stored.cursor : 0,
        );
      }
      world.settle();
      expect(world.rows).toEqual(world.written);
    }),
    { numRuns: 1500 },
  );
});
