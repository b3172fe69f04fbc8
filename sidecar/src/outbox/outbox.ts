import { create } from "@bufbuild/protobuf";
import { EphemeralSchema, type Ephemeral, type OutboxEntry } from "@openhermit/protocol/mesh/v1/outbox";
import { TextDeltaSchema, ReasoningDeltaSchema } from "@openhermit/protocol/sessions/v1/session";
import type { Log } from "@openhermit/telemetry";

import type { Ledger } from "../ledger/ledger-store.ts";
import type { SizedEntry } from "../ledger/outbox-store.ts";
import type { Shown } from "../runtime/turn-journal.ts";
import { createSignal, type Signal } from "./signal.ts";

/** How full the outbox is: tight from 90 % of its bound (nothing ephemeral is taken), full from 100 % (no new turns). */
export type OutboxLevel = "ok" | "tight" | "full";

/** What the sidecar says to the gateway: the durable log, and beside it what is only shown. */
export interface Outbox {
  /** Whether there is something to send; raised once a tick. */
  readonly signal: Signal;
  /** The durable entries after a number, in order: at most 64 and about 1 MiB, at least one if there is any. */
  batch(after: number): OutboxEntry[];
  /** Takes what is to be shown, in order, at most 1,000 things. */
  takeShown(): Ephemeral[];
  /** Shows something, if somebody listens and there is room; else it is dropped. */
  show(turnId: string, attempt: number, item: Shown): void;
  /** Whether what is shown reaches anybody. Set by the link. */
  setListening(listening: boolean): void;
  /** Everything up to here is stored. */
  acknowledge(sequence: number): void;
  /** The entries in memory are no longer those on disk. */
  forget(): void;
  /** How full it is. */
  level(): OutboxLevel;
  /** How many entries are not acknowledged. */
  depth(): number;
  /** Resolves when all is acknowledged, or when the signal aborts. */
  drained(signal: AbortSignal): Promise<void>;
  /** Called when the level has changed. */
  onLevel(listener: (level: OutboxLevel) => void): void;
}

/** What an outbox needs. */
export interface OutboxOptions {
  ledger: Ledger;
  /** The bound of the entries on disk, in bytes. */
  maxBytes: number;
  log: Log;
}

const BATCH_ENTRIES = 64;
// The bound counts bodies; a message on the link has at most 4 MiB.
const BATCH_BYTES = 1024 * 1024;
const MEMORY_BYTES = 2 * 1024 * 1024;
const MEMORY_ENTRIES = 1024;
const SHOWN_ITEMS = 1000;
const SHOWN_BYTES = 1024 * 1024;
const TIGHT = 0.9;
const TIDY_MS = 1000;

/** The outbox over a ledger. Entries that were just written are sent from memory; the disk is read only after a pause. */
export function createOutbox(options: OutboxOptions): Outbox {
  const { ledger, maxBytes, log } = options;
  const store = ledger.outbox;
  const signal = createSignal();
  const recent = new Map<number, SizedEntry>();
  let recentBytes = 0;
  let shown: Ephemeral[] = [];
  let shownBytes = 0;
  let listening = false;
  let level: OutboxLevel = "ok";
  let onLevel: (level: OutboxLevel) => void = () => {};
  let tidyTimer: NodeJS.Timeout | undefined;
  const waiting = new Set<() => void>();

  const readLevel = (): OutboxLevel =>
    store.bytes >= maxBytes ? "full" : store.bytes >= maxBytes * TIGHT ? "tight" : "ok";
  const checkLevel = (): void => {
    const now = readLevel();
    if (now === level) return;
    level = now;
    onLevel(now);
  };
  const tidy = (): void => {
    clearTimeout(tidyTimer);
    tidyTimer = undefined;
    try {
      ledger.tidy();
    } catch (error) {
      log.warn({ error }, "ledger not tidied");
    }
    checkLevel();
  };
  const forget = (): void => {
    recent.clear();
    recentBytes = 0;
  };

  store.onAppended((appended) => {
    for (const sized of appended) {
      if (recentBytes + sized.bytes > MEMORY_BYTES || recent.size >= MEMORY_ENTRIES) break;
      recent.set(Number(sized.entry.sequence), sized);
      recentBytes += sized.bytes;
    }
    checkLevel();
    signal.raise();
  });
  level = readLevel();

  return {
    signal,
    batch(after) {
      const entries: OutboxEntry[] = [];
      let bytes = 0;
      while (entries.length < BATCH_ENTRIES && bytes < BATCH_BYTES && after + entries.length < store.last) {
        const kept = recent.get(after + entries.length + 1);
        if (kept === undefined) break;
        entries.push(kept.entry);
        bytes += kept.bytes;
      }
      if (entries.length > 0 || after >= store.last) return entries;
      return store.read(after, BATCH_ENTRIES, BATCH_BYTES).map((sized) => sized.entry);
    },
    takeShown() {
      const taken = shown;
      shown = [];
      shownBytes = 0;
      return taken;
    },
    show(turnId, attempt, item) {
      if (!listening || level !== "ok") return;
      const text = item.case === "toolCall" ? item.value.argumentsJson : item.value.text;
      if (shown.length >= SHOWN_ITEMS || shownBytes + text.length > SHOWN_BYTES) return;
      shownBytes += text.length + 32;
      if (!merge(shown.at(-1), turnId, attempt, item)) shown.push(toEphemeral(turnId, attempt, item));
      signal.raise();
    },
    setListening(value) {
      listening = value;
      if (value) return;
      shown = [];
      shownBytes = 0;
    },
    acknowledge(sequence) {
      for (let number = store.acknowledged + 1; number <= sequence; number++) {
        const kept = recent.get(number);
        if (kept === undefined) continue;
        recent.delete(number);
        recentBytes -= kept.bytes;
      }
      store.acknowledge(sequence);
      if (store.acknowledged >= store.last) for (const wake of waiting) wake();
      if (store.bytes > maxBytes / 2) tidy();
      else tidyTimer ??= setTimeout(tidy, TIDY_MS).unref();
    },
    forget,
    level: () => level,
    depth: () => store.last - store.acknowledged,
    drained: (abort) =>
      new Promise((resolve) => {
        if (store.acknowledged >= store.last || abort.aborted) return resolve();
        const done = (): void => {
          waiting.delete(done);
          abort.removeEventListener("abort", done);
          resolve();
        };
        waiting.add(done);
        abort.addEventListener("abort", done);
      }),
    onLevel(listener) {
      onLevel = listener;
    },
  };
}

function toEphemeral(turnId: string, attempt: number, item: Shown): Ephemeral {
  // Text grows by what follows in the same tick, so it must be ours.
  switch (item.case) {
    case "textDelta":
      return create(EphemeralSchema, {
        turnId,
        attempt,
        body: { case: "textDelta", value: create(TextDeltaSchema, { step: item.value.step, text: item.value.text }) },
      });
    case "reasoningDelta":
      return create(EphemeralSchema, {
        turnId,
        attempt,
        body: {
          case: "reasoningDelta",
          value: create(ReasoningDeltaSchema, { step: item.value.step, text: item.value.text }),
        },
      });
    case "toolCall":
      return create(EphemeralSchema, { turnId, attempt, body: item });
  }
}

function merge(before: Ephemeral | undefined, turnId: string, attempt: number, item: Shown): boolean {
  if (before === undefined || before.turnId !== turnId || before.attempt !== attempt) return false;
  if (item.case === "toolCall" || before.body.case === "toolCall" || before.body.case !== item.case) return false;
  if (before.body.value.step !== item.value.step) return false;
  before.body.value.text += item.value.text;
  return true;
}
