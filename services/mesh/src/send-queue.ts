/** The most that waits for one slow stream, in bytes (estimated). */
export const MAX_QUEUED_BYTES = 1024 * 1024;

/** Messages that wait to be sent on one stream: written from anywhere, read by one reader. */
export interface SendQueue<Message> {
  /**
   * Queues a message; never waits. False when the stream has ended or more than {@link MAX_QUEUED_BYTES} would wait
   * (one message is always taken by an empty queue).
   *
   * @param bytes about how large the message is.
   */
  push(message: Message, bytes: number): boolean;
  /** Resolves when a message of that size would be taken, or the stream has ended; then try to push. */
  room(bytes: number): Promise<void>;
  /** Ends the stream: without an error after what is queued, with one at once. The first call counts. */
  end(error?: Error): void;
  readonly ended: boolean;
  /** The messages in order; throws the error of `end`. To be read once. */
  drain(): AsyncGenerator<Message, void>;
}

/** Creates an empty queue. */
export function createSendQueue<Message>(): SendQueue<Message> {
  let items: { message: Message; bytes: number }[] = [];
  let head = 0;
  let queuedBytes = 0;
  let ended = false;
  let failure: Error | undefined;
  let wakeReader: (() => void) | undefined;
  let waitingForRoom: { bytes: number; resolve: () => void }[] = [];

  const wake = (): void => {
    wakeReader?.();
    wakeReader = undefined;
  };
  const fits = (bytes: number): boolean => queuedBytes === 0 || queuedBytes + bytes <= MAX_QUEUED_BYTES;
  const releaseRoom = (): void => {
    if (waitingForRoom.length === 0) return;
    const waiting = waitingForRoom;
    waitingForRoom = [];
    for (const waiter of waiting) {
      if (ended || fits(waiter.bytes)) waiter.resolve();
      else waitingForRoom.push(waiter);
    }
  };

  return {
    get ended() {
      return ended;
    },
    push(message, bytes) {
      if (ended || !fits(bytes)) return false;
      items.push({ message, bytes });
      queuedBytes += bytes;
      wake();
      return true;
    },
    room(bytes) {
      if (ended || fits(bytes)) return Promise.resolve();
      return new Promise((resolve) => waitingForRoom.push({ bytes, resolve }));
    },
    end(error) {
      if (ended) return;
      ended = true;
      failure = error;
      if (error !== undefined) {
        items = [];
        head = 0;
        queuedBytes = 0;
      }
      wake();
      releaseRoom();
    },
    async *drain() {
      for (;;) {
        const item = items[head];
        if (item !== undefined) {
          head += 1;
          if (head === items.length || head === 1024) {
            items = items.slice(head);
            head = 0;
          }
          queuedBytes -= item.bytes;
          releaseRoom();
          yield item.message;
        } else if (ended) {
          if (failure !== undefined) throw failure;
          return;
        } else {
          await new Promise<void>((resolve) => (wakeReader = resolve));
        }
      }
    },
  };
}
