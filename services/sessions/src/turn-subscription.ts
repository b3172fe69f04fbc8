import type { TurnEvent } from "@openhermit/protocol/sessions/v1/session";

/** Something that happened in a turn, made once and shared by all its subscribers. */
export interface TurnNews {
  readonly event: TurnEvent;
  /** About how many bytes it holds that are its own. */
  readonly bytes: number;
  /** The position in the transcript, for what is stored there. */
  readonly position?: bigint;
}

/** What a subscriber that joins in the middle has read from the database. */
export interface CaughtUp {
  /** The last position it has read. */
  readonly position: bigint;
  /** Of the turn it has read. */
  readonly attempt: number;
  readonly state: number;
}

/** One reader of a turn. */
export interface TurnSubscription extends AsyncIterable<TurnEvent> {
  /** Hands over news; false when the reader is too slow, which closes the subscription. */
  push(news: TurnNews): boolean;
  /** No more news: the reader gets what waits for it, then the end or the error. */
  close(error?: Error): void;
  /** Drops what the reader has read elsewhere from what waits for it, and adds what it lacks. */
  catchUp(read: CaughtUp, running: TurnNews | undefined): void;
  readonly closed: boolean;
}

/**
 * Creates a queue for one reader.
 *
 * @param position stored entries up to here are not for this reader.
 * @param onSlow makes the error for a reader for which too much waits.
 * @param onClose called once, when the reader has left or was closed.
 */
export function createTurnSubscription(options: {
  position: bigint;
  maxBytes: number;
  onSlow(): Error;
  onClose(): void;
}): TurnSubscription {
  let waiting: TurnNews[] = [];
  let next = 0;
  let bytes = 0;
  let { position } = options;
  let wake: (() => void) | undefined;
  let closed = false;
  let failure: Error | undefined;

  const close = (error?: Error): void => {
    if (closed) return;
    closed = true;
    failure = error;
    options.onClose();
    wake?.();
  };

  const push = (news: TurnNews): boolean => {
    if (closed || (news.position !== undefined && news.position <= position)) return true;
    if (bytes > options.maxBytes) {
      waiting = [];
      next = 0;
      close(options.onSlow());
      return false;
    }
    if (news.position !== undefined) position = news.position;
    waiting.push(news);
    bytes += news.bytes;
    wake?.();
    return true;
  };

  return {
    push,
    close,
    get closed() {
      return closed;
    },
    catchUp(read, running) {
      const before = waiting.slice(next);
      waiting = [];
      next = 0;
      bytes = 0;
      if (read.position > position) position = read.position;
      for (const news of before) {
        const { event } = news.event;
        if (event.case === "textDelta" || event.case === "textSnapshot") continue;
        if (news.position !== undefined && news.position <= read.position) continue;
        if (event.case === "turn" && !isNewer(event.value, read)) continue;
        waiting.push(news);
        bytes += news.bytes;
      }
      if (running === undefined) return;
      waiting.push(running);
      bytes += running.bytes;
    },
    async *[Symbol.asyncIterator]() {
      try {
        for (;;) {
          while (next < waiting.length) {
            const news = waiting[next] as TurnNews;
            next += 1;
            bytes -= news.bytes;
            if (next === waiting.length) {
              waiting = [];
              next = 0;
            }
            yield news.event;
          }
          if (closed) break;
          await new Promise<void>((resolve) => (wake = resolve));
          wake = undefined;
        }
        if (failure !== undefined) throw failure;
      } finally {
        close();
      }
    },
  };
}

/** Whether a turn has moved on since it was read. Going back to the queue counts as no news: what follows it is. */
function isNewer(turn: { attempt: number; state: number }, read: CaughtUp): boolean {
  return turn.attempt > read.attempt || turn.state > read.state;
}
