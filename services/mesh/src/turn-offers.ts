import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { resourceExhausted } from "@openhermit/errors";
import { AttachResponseSchema, type RunTurn } from "@openhermit/protocol/mesh/v1/link_service";
import type { Log } from "@openhermit/telemetry";
import type { LinkRegistry } from "./link-registry.ts";
import type { SidecarLink } from "./sidecar-link.ts";

/** What the gateway asks of an attached sidecar, in the tick of the call. */
export interface TurnOffers {
  /** False when no sidecar that hosts the agent is ready on this gateway. */
  offerTurn(agentId: string, turn: RunTurn): boolean;
  /** False when no sidecar that hosts the agent is attached to this gateway. */
  cancelTurn(agentId: string, turnId: string, reason: string): boolean;
  hasLink(agentId: string): boolean;
  /** Sends Drain; the signal aborts when the link ends. Undefined when the sidecar is not attached here. */
  drain(sidecarId: string, graceMs: number): AbortSignal | undefined;
}

/** Creates the offers over the links of this gateway. */
export function createTurnOffers(options: { registry: LinkRegistry; log: Log }): TurnOffers {
  const { registry, log } = options;

  /** Queues a message; a stream that does not take what waits for it is closed, so that its turns go elsewhere. */
  const send = (link: SidecarLink, message: Parameters<SidecarLink["outgoing"]["push"]>[0], bytes: number): boolean => {
    if (link.outgoing.push(message, bytes)) return true;
    if (link.endReason === undefined) {
      log.warn({ sidecar_id: link.sidecarId }, "sidecar reads too slowly, link closed");
      link.end(
        "lost",
        resourceExhausted("SLOW_READER", `sidecar "${link.sidecarId}" does not read what it is sent`, {
          hint: "Attach again.",
          fields: { sidecar_id: link.sidecarId },
        }),
      );
    }
    return false;
  };

  return {
    offerTurn(agentId, turn) {
      const link = registry
        .hosting(agentId)
        .findLast((each) => each.welcomed && !each.draining && each.sentGenerations.has(agentId));
      if (link === undefined) return false;
      const message = create(AttachResponseSchema, { message: { case: "runTurn", value: turn } });
      if (!send(link, message, 300 + turn.message.length)) return false;
      link.turns.set(turn.turnId, turn.attempt);
      return true;
    },

    cancelTurn(agentId, turnId, reason) {
      const links = registry.hosting(agentId).filter((each) => each.welcomed);
      const link = links.findLast((each) => each.turns.has(turnId)) ?? links.at(-1);
      if (link === undefined) return false;
      const message = create(AttachResponseSchema, { message: { case: "cancelTurn", value: { turnId, reason } } });
      return send(link, message, 100 + reason.length);
    },

    hasLink: (agentId) => registry.hosting(agentId).some((each) => each.welcomed),

    drain(sidecarId, graceMs) {
      const link = registry.of(sidecarId);
      if (link === undefined) return undefined;
      link.draining = true;
      const grace = durationFromMs(graceMs);
      send(link, create(AttachResponseSchema, { message: { case: "drain", value: { grace } } }), 32);
      return link.signal;
    },
  };
}
