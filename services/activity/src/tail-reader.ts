import { resourceExhausted } from "@openhermit/errors";
import { matches, type EventQuery } from "./event-query.ts";
import type { LogEntry } from "./event-store.ts";
import { comparePlaces, encodeCursor, type Place } from "./place.ts";

/** How much may wait for a slow reader, in bytes of events. */
export const MAX_BUFFERED_BYTES = 1024 * 1024;
/** The most events, and about the most bytes, of one answer. */
const CHUNK_EVENTS = 64;
const CHUNK_BYTES = 512 * 1024;

/** Cuts entries into answers. */
export function* inChunks(entries: readonly LogEntry[]): Generator<LogEntry[]> {
  let start = 0;
  let bytes = 0;
  for (let i = 0; i < entries.length; i++) {
    const size = entries[i]?.bytes ?? 0;
    if (i > start && (i - start === CHUNK_EVENTS || bytes + size > CHUNK_BYTES)) {
      yield entries.slice(start, i);
      start = i;
      bytes = 0;
    }
    bytes += size;
  }
  if (start < entries.length) yield entries.slice(start);
}

/** One tail that has caught up: the hub gives, the stream takes. */
export interface TailReader {
  /** New events of the log, in its order. Those at or before the reader's place are passed over. */
  give(entries: readonly LogEntry[]): void;
  /** No more comes: what was given is still taken, then the error is thrown; without one the end is reached. */
  end(error?: Error): void;
  /** What has come, as soon as something has; undefined at the end. */
  take(): Promise<LogEntry[] | undefined>;
}

/** Makes a reader of the events after a place. `place` is that of the last event it has taken. */
export function createTailReader(query: EventQuery, start: Place): TailReader {
  let waiting: LogEntry[] = [];
  let bytes = 0;
  let taken = start;
  let seen = start;
  let ended = false;
  let failure: Error | undefined;
  let arrived = Promise.withResolvers<void>();

  const end = (error?: Error): void => {
    if (ended) return;
    ended = true;
    failure = error;
    arrived.resolve();
  };

  return {
    give(entries) {
      if (ended) return;
      for (const entry of entries) {
        if (comparePlaces(entry.place, seen) <= 0) continue;
        seen = entry.place;
        if (!matches(query, entry.event)) continue;
        if (waiting.length > 0 && bytes + entry.bytes > MAX_BUFFERED_BYTES) {
          const cursor = encodeCursor(taken);
          waiting = [];
          end(
            resourceExhausted(
              "TAIL_TOO_SLOW",
              `the tail was read more slowly than events came; resume after cursor ${cursor}`,
              {
                hint: "Call TailEvents again with after_cursor, or with a narrower filter.",
                fields: { cursor },
              },
            ),
          );
          return;
        }
        waiting.push(entry);
        bytes += entry.bytes;
      }
      if (waiting.length > 0) arrived.resolve();
    },
    end,
    async take() {
      if (waiting.length === 0 && !ended) {
        arrived = Promise.withResolvers<void>();
        await arrived.promise;
      }
      if (waiting.length > 0) {
        const entries = waiting;
        waiting = [];
        bytes = 0;
        taken = entries.at(-1)?.place ?? taken;
        return entries;
      }
      if (failure !== undefined) throw failure;
      return undefined;
    },
  };
}
