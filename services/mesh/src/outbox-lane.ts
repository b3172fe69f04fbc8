import type { OutboxEntry } from "@openhermit/protocol/mesh/v1/outbox";

/**
 * The outbox of one sidecar as it comes in on one Publish stream. Written by that stream and by the ingest only.
 * Sequences are safe integers.
 */
export interface OutboxLane {
  readonly sidecarId: string;
  readonly epoch: bigint;
  readonly ledgerId: string;
  /** The sequence up to which entries were taken: stored, in a flush, or waiting here. */
  taken: number;
  /** The sequence up to which entries are stored. */
  stored: number;
  /** The entries `taken - waiting.length + 1 … taken`, which wait for a flush. */
  waiting: OutboxEntry[];
  /** The last sequences of the batches that are not stored yet, in order. */
  readonly batchEnds: number[];
  /** Whether its stream has ended: what waits is dropped, since the sidecar sends it again. */
  closed: boolean;
  /** Called after a commit that stored entries up to `stored`. */
  onStored(): void;
  /** Called when entries can't be stored; the stream ends with the error. */
  onRefused(error: Error): void;
}
