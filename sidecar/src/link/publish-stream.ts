import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type CallOptions, type Client } from "@connectrpc/connect";
import { PublishRequestSchema, type LinkService, type PublishRequest } from "@openhermit/protocol/mesh/v1/link_service";

import type { Outbox } from "../outbox/outbox.ts";

/** What a Publish stream needs. */
export interface PublishStreamOptions {
  client: Client<typeof LinkService>;
  outbox: Outbox;
  /** Of Welcome. */
  epoch: bigint;
  call: CallOptions & { signal: AbortSignal };
}

/**
 * Carries the outbox up until the stream ends: what is shown goes at once, durable entries in batches, at most as many
 * unacknowledged as the gateway allows. Nothing is taken from the outbox faster than the connection takes it.
 * Resolves when the gateway ends the stream; throws a ConnectError when it fails.
 */
export async function publish(options: PublishStreamOptions): Promise<void> {
  const { client, outbox, epoch, call } = options;
  const { signal } = outbox;
  const unacknowledged: number[] = [];
  let sent: number | undefined;
  let window = 1;
  let closed = false;

  async function* requests(): AsyncGenerator<PublishRequest> {
    yield create(PublishRequestSchema, { message: { case: "open", value: { epoch } } });
    while (!closed) {
      const items = outbox.takeShown();
      if (items.length > 0) {
        yield create(PublishRequestSchema, { message: { case: "ephemeral", value: { items } } });
      }
      const entries = sent === undefined || unacknowledged.length >= window ? [] : outbox.batch(sent);
      const newest = entries.at(-1);
      if (newest !== undefined) {
        sent = Number(newest.sequence);
        unacknowledged.push(sent);
        yield create(PublishRequestSchema, { message: { case: "batch", value: { entries } } });
      }
      if (items.length === 0 && newest === undefined) await signal.wait();
    }
  }

  const close = (): void => {
    closed = true;
    signal.raise();
  };
  call.signal.addEventListener("abort", close);
  outbox.setListening(true);
  try {
    for await (const { message } of client.publish(requests(), call)) {
      switch (message.case) {
        case "opened":
          sent = Number(message.value.cursor);
          window = Math.max(1, message.value.maxUnacknowledgedBatches);
          outbox.acknowledge(sent);
          break;
        case "acknowledged": {
          if (sent === undefined) throw new ConnectError("acknowledged before opened", Code.InvalidArgument);
          const upTo = Number(message.value.sequence);
          while (unacknowledged[0] !== undefined && unacknowledged[0] <= upTo) unacknowledged.shift();
          outbox.acknowledge(upTo);
          break;
        }
        case undefined:
          break;
      }
      signal.raise();
    }
  } finally {
    call.signal.removeEventListener("abort", close);
    outbox.setListening(false);
    close();
  }
}
