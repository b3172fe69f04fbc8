import type { AttachResponse } from "@openhermit/protocol/mesh/v1/link_service";
import type { Snapshot } from "@openhermit/protocol/mesh/v1/snapshot";
import type { AttachedLink, DetachReason } from "./mesh-ports.ts";
import { createSendQueue, type SendQueue } from "./send-queue.ts";

/** One attach of one sidecar to this gateway. Its state is written by the attach stream, the heartbeat and the snapshot push. */
export interface SidecarLink extends AttachedLink {
  readonly ledgerId: string;
  /** The agents it hosts, as a set. */
  readonly hosted: ReadonlySet<string>;
  /** What waits to be sent down. */
  readonly outgoing: SendQueue<AttachResponse>;
  /** Turns it may write about, each with its newest attempt: those of its Hello and those offered since. */
  readonly turns: Map<string, number>;
  /** The generations that were sent, for the agents it has a snapshot of. */
  readonly sentGenerations: Map<string, bigint>;
  /** Newest snapshots that wait for room to be sent; undefined for an agent that is no longer hosted. */
  readonly waitingSnapshots: Map<string, Snapshot | undefined>;
  /** Whether Welcome was sent; nothing may go down before. */
  welcomed: boolean;
  /** Whether Drain was sent; no turn is offered any more. */
  draining: boolean;
  /** When it last gave a sign of life, on the clock of `performance.now()`. */
  lastPongAt: number;
  /** Ends the link; without an error its stream ends well after what is queued. The first call counts. */
  end(reason: DetachReason, error?: Error): void;
  /** Why it ended; undefined while it lasts. */
  readonly endReason: DetachReason | undefined;
  /** Aborts when it ends. */
  readonly signal: AbortSignal;
}

/** Creates a link that is not welcomed yet. */
export function createSidecarLink(options: {
  attached: AttachedLink;
  ledgerId: string;
  /** Called once, when it ends. */
  onEnd(link: SidecarLink): void;
}): SidecarLink {
  const { attached, ledgerId, onEnd } = options;
  const controller = new AbortController();
  const outgoing = createSendQueue<AttachResponse>();
  let endReason: DetachReason | undefined;
  const link: SidecarLink = {
    ...attached,
    ledgerId,
    hosted: new Set(attached.agentIds),
    outgoing,
    turns: new Map(),
    sentGenerations: new Map(),
    waitingSnapshots: new Map(),
    welcomed: false,
    draining: false,
    lastPongAt: performance.now(),
    signal: controller.signal,
    get endReason() {
      return endReason;
    },
    end(reason, error) {
      if (endReason !== undefined) return;
      endReason = reason;
      outgoing.end(error);
      onEnd(link);
      controller.abort();
    },
  };
  return link;
}
