import { create } from "@bufbuild/protobuf";
import { failedPrecondition, invalidArgument, toError, unavailable, type MeshError } from "@openhermit/errors";
import type { Queryable } from "@openhermit/postgres";
import {
  PublishResponseSchema,
  type PublishRequest,
  type PublishResponse,
} from "@openhermit/protocol/mesh/v1/link_service";
import type { Ephemeral, OutboxEntry } from "@openhermit/protocol/mesh/v1/outbox";
import { admit } from "./cursor.ts";
import { checkEntry, isEnd, TURN_NOT_OFFERED } from "./entry-check.ts";
import type { Ingest } from "./ingest.ts";
import type { LinkRegistry } from "./link-registry.ts";
import { readCursors } from "./link-store.ts";
import { revoked, superseded } from "./mesh-errors.ts";
import type { MeshPorts } from "./mesh-ports.ts";
import type { OutboxLane } from "./outbox-lane.ts";
import { createSendQueue } from "./send-queue.ts";
import type { SidecarLink } from "./sidecar-link.ts";

/** How many batches of a sidecar may be on their way without an acknowledgement; beyond that its stream is not read. */
const MAX_UNACKNOWLEDGED_BATCHES = 16;
const ACK_BYTES = 16;

/** The Publish streams of this gateway, one for each sidecar. */
export interface PublishStreams {
  /** Serves one stream of a sidecar that is attached to this gateway. */
  serve(
    requests: AsyncIterable<PublishRequest>,
    sidecarId: string,
    signal: AbortSignal,
  ): AsyncGenerator<PublishResponse>;
  /** Ends the stream of a sidecar with the error, if its epoch is below this one. */
  fence(sidecarId: string, epoch: bigint, error: Error): void;
  /** Ends all streams. */
  close(error: Error): void;
}

/** Creates the streams' side of the ingest: what it takes from a stream goes to the ingest in the same tick. */
export function createPublishStreams(options: {
  database: Queryable;
  registry: LinkRegistry;
  ingest: Ingest;
  ports: Pick<MeshPorts, "ephemeral">;
}): PublishStreams {
  const { database, registry, ingest, ports } = options;
  const streams = new Map<string, PublishStream>();

  const openLink = async (sidecarId: string, epoch: bigint): Promise<{ link: SidecarLink; cursor: number }> => {
    const stored = (await readCursors(database, [sidecarId])).get(sidecarId);
    if (stored === undefined) throw revoked(sidecarId);
    if (stored.epoch > epoch) throw superseded(sidecarId);
    const link = registry.of(sidecarId);
    if (link === undefined || !link.welcomed || link.epoch !== epoch) {
      throw failedPrecondition("NOT_ATTACHED", `sidecar "${sidecarId}" is not attached here with epoch ${epoch}`, {
        hint: "Attach first, wait for Welcome, and open Publish on the same connection.",
        fields: { sidecar_id: sidecarId },
      });
    }
    return { link, cursor: stored.cursor };
  };

  return {
    async *serve(requests, sidecarId, signal) {
      const messages = requests[Symbol.asyncIterator]();
      const first = await messages.next();
      if (first.done === true || first.value.message.case !== "open") throw openExpected();
      const { link, cursor } = await openLink(sidecarId, first.value.message.value.epoch);

      const stream = createPublishStream(link, cursor, ingest, ports);
      streams.get(sidecarId)?.end(replaced(sidecarId));
      streams.set(sidecarId, stream);
      const onAbort = (): void => stream.end();
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) stream.end();
      void stream.read(messages);
      try {
        yield* stream.responses();
      } finally {
        stream.end();
        signal.removeEventListener("abort", onAbort);
        if (streams.get(sidecarId) === stream) streams.delete(sidecarId);
      }
    },
    fence(sidecarId, epoch, error) {
      const stream = streams.get(sidecarId);
      if (stream !== undefined && stream.epoch < epoch) stream.end(error);
    },
    close(error) {
      for (const stream of streams.values()) stream.end(error);
    },
  };
}

interface PublishStream {
  readonly epoch: bigint;
  /** Takes what comes until the stream ends. Never rejects. */
  read(messages: AsyncIterator<PublishRequest>): Promise<void>;
  responses(): AsyncGenerator<PublishResponse>;
  end(error?: Error): void;
}

function createPublishStream(
  link: SidecarLink,
  cursor: number,
  ingest: Ingest,
  ports: Pick<MeshPorts, "ephemeral">,
): PublishStream {
  const outgoing = createSendQueue<PublishResponse>();
  /** Ends of turns that are not stored yet: after that the sidecar has nothing more to say about them. */
  const turnEnds: { sequence: number; turnId: string; attempt: number }[] = [];
  let wakeReader: (() => void) | undefined;
  let readingEnded = false;

  const lane: OutboxLane = {
    sidecarId: link.sidecarId,
    epoch: link.epoch,
    ledgerId: link.ledgerId,
    taken: cursor,
    stored: cursor,
    waiting: [],
    batchEnds: [],
    closed: false,
    onStored() {
      while ((lane.batchEnds[0] ?? Infinity) <= lane.stored) lane.batchEnds.shift();
      while ((turnEnds[0]?.sequence ?? Infinity) <= lane.stored) {
        const ended = turnEnds.shift();
        // A newer attempt goes on.
        if (ended !== undefined && (link.turns.get(ended.turnId) ?? 0) <= ended.attempt)
          link.turns.delete(ended.turnId);
      }
      acknowledge();
      wakeReader?.();
      if (readingEnded && lane.stored >= lane.taken) end();
    },
    onRefused: (error) => end(error),
  };

  const end = (error?: Error): void => {
    lane.closed = true;
    lane.waiting = [];
    outgoing.end(error);
    wakeReader?.();
  };

  const acknowledge = (): void => {
    outgoing.push(
      create(PublishResponseSchema, { message: { case: "acknowledged", value: { sequence: BigInt(lane.stored) } } }),
      ACK_BYTES,
    );
  };

  /** Takes a batch; returns the error that ends the stream. */
  const take = (entries: OutboxEntry[]): MeshError | undefined => {
    const admission = admit(lane.taken, entries);
    switch (admission.kind) {
      case "duplicate":
        acknowledge();
        return undefined;
      case "gap":
        return failedPrecondition(
          "SEQUENCE_GAP",
          `expected entry ${admission.expected} of sidecar "${link.sidecarId}", got ${admission.got}`,
          { hint: "Open Publish again and go on after its cursor.", fields: { expected: String(admission.expected) } },
        );
      case "disorder":
        return invalidArgument(
          "SEQUENCE_INVALID",
          `expected entry ${admission.expected} of sidecar "${link.sidecarId}", got ${admission.got}`,
          { hint: "Send entries in the order of their sequence, from 1, without a gap." },
        );
      case "take":
        break;
    }
    for (let i = admission.from; i < entries.length; i++) {
      const error = checkEntry(entries[i] as OutboxEntry, link);
      if (error !== undefined) return error;
    }
    for (let i = admission.from; i < entries.length; i++) {
      const entry = entries[i] as OutboxEntry;
      lane.waiting.push(entry);
      if (entry.body.case === "turnChange" && isEnd(entry.body.value.state)) {
        const { turnId, attempt } = entry.body.value;
        turnEnds.push({ sequence: Number(entry.sequence), turnId, attempt });
      }
    }
    lane.taken += entries.length - admission.from;
    lane.batchEnds.push(lane.taken);
    ingest.wake(lane);
    return undefined;
  };

  const show = (items: Ephemeral[]): void => {
    const allowed = items.every((item) => link.turns.has(item.turnId))
      ? items
      : items.filter((item) => link.turns.has(item.turnId));
    if (allowed.length > 0) ports.ephemeral(allowed, link.sidecarId);
  };

  /** Takes one message; returns the error that ends the stream. */
  const accept = ({ message }: PublishRequest): MeshError | undefined => {
    switch (message.case) {
      case "batch":
        return message.value.entries.length === 0 ? undefined : take(message.value.entries);
      case "ephemeral":
        show(message.value.items);
        return undefined;
      default:
        return openExpected();
    }
  };

  return {
    epoch: link.epoch,
    responses: () => outgoing.drain(),
    end,
    async read(messages) {
      outgoing.push(
        create(PublishResponseSchema, {
          message: {
            case: "opened",
            value: { cursor: BigInt(cursor), maxUnacknowledgedBatches: MAX_UNACKNOWLEDGED_BATCHES },
          },
        }),
        ACK_BYTES,
      );
      try {
        while (!lane.closed) {
          if (lane.batchEnds.length >= MAX_UNACKNOWLEDGED_BATCHES) {
            await new Promise<void>((resolve) => (wakeReader = resolve));
            continue;
          }
          const next = await messages.next();
          if (lane.closed) return;
          if (next.done === true) {
            readingEnded = true;
            if (lane.stored >= lane.taken) end();
            return;
          }
          const error = accept(next.value);
          if (error === undefined) continue;
          end(error);
          // What it writes and what it was offered disagree: only a new Hello can tell.
          if (error.reason === TURN_NOT_OFFERED) link.end("lost", error);
        }
      } catch (error) {
        end(toError(error));
      }
    },
  };
}

function openExpected(): MeshError {
  return invalidArgument("PUBLISH_OPEN_EXPECTED", "PublishOpen must be the first message, and only that", {
    hint: "Send PublishOpen with the epoch of Welcome once, then batches.",
  });
}

function replaced(sidecarId: string): MeshError {
  return unavailable("PUBLISH_REPLACED", `sidecar "${sidecarId}" has opened Publish again`, {
    fields: { sidecar_id: sidecarId },
  });
}
