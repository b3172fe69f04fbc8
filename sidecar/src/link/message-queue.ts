/** Messages on their way into a stream, in order. */
export interface MessageQueue<Message> extends AsyncIterable<Message> {
  /** Adds a message; false when the queue has ended or is full. */
  push(message: Message): boolean;
  /** No more messages: the stream is half-closed after those that wait. */
  end(): void;
}

/** An empty queue. It holds at most `limit` messages that the connection has not taken yet. */
export function createMessageQueue<Message>(limit: number): MessageQueue<Message> {
  let waiting: Message[] = [];
  let ended = false;
  let wake: (() => void) | undefined;
  return {
    push(message) {
      if (ended || waiting.length >= limit) return false;
      waiting.push(message);
      wake?.();
      return true;
    },
    end() {
      ended = true;
      wake?.();
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const taken = waiting;
        waiting = [];
        yield* taken;
        if (waiting.length > 0) continue;
        if (ended) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
      }
    },
  };
}
