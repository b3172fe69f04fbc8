import { setTimeout as delay } from "node:timers/promises";
import { unavailable } from "@openhermit/errors";
import { createPeriodicTask } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import type { EventQuery } from "./event-query.ts";
import type { LogPage } from "./event-store.ts";
import { comparePlaces, laterPlace, type Place } from "./place.ts";
import { createTailReader, type TailReader } from "./tail-reader.ts";

/** Reads the log once for all tails of this gateway that have caught up. */
export interface TailHub {
  /** Something may have been stored. */
  poke(): void;
  /** Joins a tail that has read everything up to a place; undefined when the hub is further already. */
  attach(query: EventQuery, place: Place): TailReader | undefined;
  detach(reader: TailReader): void;
  /** Ends all tails with GATEWAY_STOPPING. */
  close(): Promise<void>;
}

/** The safety net behind the pokes, in milliseconds. */
const PERIOD_MS = 2000;
/** When to look again for events that wait for another transaction, in milliseconds: growing up to a bound. */
const HELD_MS = 5;
const MAX_HELD_MS = 100;
const PAGE_SIZE = 500;

/** Makes the hub. It reads only while somebody tails. */
export function createTailHub(options: { read: (after: Place, limit: number) => Promise<LogPage>; log: Log }): TailHub {
  const { read, log } = options;
  const readers = new Set<TailReader>();
  let head: Place = { tx: 0n, position: 0n };
  let closed = false;

  const task = createPeriodicTask({
    name: "tail activity",
    periodMs: PERIOD_MS,
    onError: (error) => log.warn({ err: error }, "activity not read"),
    async run(signal) {
      let heldMs = HELD_MS;
      while (readers.size > 0 && !signal.aborted) {
        const page = await read(head, PAGE_SIZE);
        for (const reader of readers) reader.give(page.entries);
        head = laterPlace(head, page.next);
        if (page.more) continue;
        if (!page.held) return;
        await delay(heldMs, undefined, { signal }).catch(() => undefined);
        heldMs = Math.min(MAX_HELD_MS, heldMs * 2);
      }
    },
  });

  return {
    poke() {
      if (readers.size > 0) task.poke();
    },
    attach(query, place) {
      if (closed) throw stopping();
      if (readers.size === 0) head = place;
      if (comparePlaces(place, head) < 0) return undefined;
      const reader = createTailReader(query, place);
      readers.add(reader);
      task.poke();
      return reader;
    },
    detach(reader) {
      reader.end();
      readers.delete(reader);
    },
    async close() {
      closed = true;
      for (const reader of readers) reader.end(stopping());
      readers.clear();
      await task.stop();
    },
  };
}

function stopping(): Error {
  return unavailable("GATEWAY_STOPPING", "the gateway is stopping", {
    hint: "Call TailEvents again with the cursor of the last event; another gateway or the next start answers.",
  });
}
