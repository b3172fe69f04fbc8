import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  AttachResponseSchema,
  RefusalReason,
  type AttachResponse,
  type RunTurn,
} from "@openhermit/protocol/mesh/v1/link_service";
import type { Log } from "@openhermit/telemetry";
import type { LinkRegistry } from "./link-registry.ts";
import type { MeshPorts } from "./mesh-ports.ts";
import type { SidecarLink } from "./sidecar-link.ts";

/** The most that offers held back for one link may measure together, in bytes (estimated); more are not taken. */
export const MAX_HELD_BYTES = 8 * 1024 * 1024;

/** What the gateway asks of an attached sidecar, in the tick of the call. */
export interface TurnOffers {
  /**
   * Sends the turn, or holds it back until its link has room: offers stay in their order, and a repeated one takes the place of the
   * one before. An offer that can't be sent any more while its link lasts is reported as refused.
   *
   * False when no sidecar that hosts the agent is ready on this gateway, or more than {@link MAX_HELD_BYTES} would be held back.
   */
  offerTurn(agentId: string, turn: RunTurn): boolean;
  /**
   * Passes the cancellation on; a turn whose offer is still held back is not sent and is reported as refused instead. False when no
   * sidecar that hosts the agent is attached to this gateway.
   */
  cancelTurn(agentId: string, turnId: string, reason: string): boolean;
  hasLink(agentId: string): boolean;
  /** Sends Drain; the signal aborts when the link ends. Undefined when the sidecar is not attached here. */
  drain(sidecarId: string, graceMs: number): AbortSignal | undefined;
}

/** A message for which the link had no room. */
interface HeldMessage {
  readonly message: AttachResponse;
  readonly bytes: number;
  /** Set for an offer. */
  readonly turn?: RunTurn;
}

/** What is held back for one link, in the order in which it is sent. */
interface Lane {
  readonly held: Map<string, HeldMessage>;
  bytes: number;
  sending: boolean;
}

const offerKey = (turnId: string): string => `offer ${turnId}`;

/** Creates the offers over the links of this gateway. */
export function createTurnOffers(options: {
  registry: LinkRegistry;
  ports: Pick<MeshPorts, "turnRefused">;
  log: Log;
}): TurnOffers {
  const { registry, ports, log } = options;
  const lanes = new WeakMap<SidecarLink, Lane>();

  const isReady = (link: SidecarLink, agentId: string): boolean =>
    link.welcomed && !link.draining && link.sentGenerations.has(agentId);

  const holds = (link: SidecarLink, turnId: string): boolean => lanes.get(link)?.held.has(offerKey(turnId)) ?? false;

  const push = (link: SidecarLink, { message, bytes, turn }: HeldMessage): boolean => {
    if (!link.outgoing.push(message, bytes)) return false;
    // Only now may the sidecar write about it.
    if (turn !== undefined) link.turns.set(turn.turnId, turn.attempt);
    return true;
  };

  const take = (link: SidecarLink, key: string): HeldMessage | undefined => {
    const lane = lanes.get(link);
    const taken = lane?.held.get(key);
    if (lane === undefined || taken === undefined) return undefined;
    lane.held.delete(key);
    lane.bytes -= taken.bytes;
    return taken;
  };

  /** Gives an offer back that its sidecar has not seen. */
  const withdraw = (link: SidecarLink, { turnId, attempt }: RunTurn, reason: RefusalReason, why: string): void => {
    if (take(link, offerKey(turnId)) === undefined) return;
    try {
      ports.turnRefused(turnId, attempt, reason, why);
    } catch (error) {
      // What else is held back still has to be sent.
      log.error({ error, turn_id: turnId }, "turn could not be given back");
    }
  };

  const hold = (link: SidecarLink, key: string, message: HeldMessage): void => {
    const lane = lanes.get(link) ?? { held: new Map<string, HeldMessage>(), bytes: 0, sending: false };
    lanes.set(link, lane);
    lane.bytes += message.bytes - (lane.held.get(key)?.bytes ?? 0);
    lane.held.set(key, message);
    if (!lane.sending) void sendHeld(link, lane);
  };

  /** Sends what is held back, at the pace of the link. A sidecar that reads nothing at all gets no Ping, and loses its lease. */
  const sendHeld = async (link: SidecarLink, lane: Lane): Promise<void> => {
    lane.sending = true;
    log.debug({ sidecar_id: link.sidecarId }, "no room on a link, turns wait");
    for (;;) {
      const [next] = lane.held;
      if (next === undefined) break;
      const [key, message] = next;
      await link.outgoing.room(message.bytes);
      if (link.outgoing.ended) {
        // The end of the link is the end of its offers, sent or not.
        lane.held.clear();
        break;
      }
      if (lane.held.get(key) !== message) continue;
      const { turn } = message;
      if (turn !== undefined && !isReady(link, turn.agentId)) {
        withdraw(link, turn, RefusalReason.NOT_READY, "the agent was removed before the turn was sent");
      } else if (push(link, message)) {
        take(link, key);
      }
    }
    lane.bytes = 0;
    lane.sending = false;
  };

  return {
    offerTurn(agentId, turn) {
      const links = registry.hosting(agentId);
      const link = links.findLast((each) => isReady(each, agentId));
      if (link === undefined || link.outgoing.ended) return false;
      const key = offerKey(turn.turnId);
      const runTurn = create(AttachResponseSchema, { message: { case: "runTurn", value: turn } });
      const message = { message: runTurn, bytes: 300 + turn.message.length, turn };
      for (const other of links) if (other !== link) take(other, key);
      const lane = lanes.get(link);
      if ((lane === undefined || lane.held.size === 0) && push(link, message)) return true;
      const before = lane?.held.get(key)?.bytes ?? 0;
      if ((lane?.bytes ?? 0) - before + message.bytes > MAX_HELD_BYTES) return false;
      hold(link, key, message);
      return true;
    },

    cancelTurn(agentId, turnId, reason) {
      const links = registry.hosting(agentId).filter((each) => each.welcomed);
      const link = links.findLast((each) => each.turns.has(turnId) || holds(each, turnId)) ?? links.at(-1);
      if (link === undefined) return false;
      const offered = lanes.get(link)?.held.get(offerKey(turnId))?.turn;
      // An earlier attempt may run there already; then only the sidecar can end it.
      if (offered !== undefined && !link.turns.has(turnId)) {
        withdraw(link, offered, RefusalReason.NOT_READY, "the turn was cancelled before it was sent");
        return true;
      }
      const value = { turnId, reason };
      const message = create(AttachResponseSchema, { message: { case: "cancelTurn", value } });
      const cancel = { message, bytes: 100 + reason.length };
      if (!push(link, cancel)) hold(link, `cancel ${turnId}`, cancel);
      return true;
    },

    hasLink: (agentId) => registry.hosting(agentId).some((each) => each.welcomed),

    drain(sidecarId, graceMs) {
      const link = registry.of(sidecarId);
      if (link === undefined) return undefined;
      link.draining = true;
      for (const { turn } of lanes.get(link)?.held.values() ?? []) {
        if (turn !== undefined) withdraw(link, turn, RefusalReason.DRAINING, "the sidecar is stopping");
      }
      const value = { grace: durationFromMs(graceMs) };
      const drain = { message: create(AttachResponseSchema, { message: { case: "drain", value } }), bytes: 32 };
      if (!push(link, drain)) hold(link, "drain", drain);
      return link.signal;
    },
  };
}
