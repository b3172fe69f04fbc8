import type { Turn } from "@openhermit/protocol/sessions/v1/session";
import { gatewayStopping, slowReader } from "./sessions-errors.ts";
import { createTurnChannel, type TurnChannel } from "./turn-channel.ts";
import { createTurnSubscription, type TurnSubscription } from "./turn-subscription.ts";

/** Who watches what: one channel for each turn that is watched here or in hand here. */
export interface TurnHub {
  get(turnId: string): TurnChannel | undefined;
  /**
   * Shows the turn, and keeps its channel while it is in this gateway's hands, so that whoever joins later gets the running step's text.
   *
   * @param position the newest stored position of the session.
   */
  hold(turn: Turn, position: bigint): TurnChannel;
  /** The turn is no longer in this gateway's hands. */
  release(turnId: string): void;
  /** Shows a state to whoever watches, if anybody does. */
  show(turn: Turn): void;
  /**
   * Subscribes to a turn.
   *
   * @param position stored entries up to here are not wanted.
   * @param onClose called once, when the reader has left, was too slow, or the turn has ended.
   */
  subscribe(turnId: string, position: bigint, onClose?: () => void): TurnSubscription;
  /** The turns that somebody watches. */
  watched(): TurnChannel[];
  subscribers(): number;
  /** Closes all subscriptions, and those to come. */
  close(): void;
}

/** Creates an empty hub. */
export function createTurnHub(options: { maxBufferedBytes: number }): TurnHub {
  const channels = new Map<string, TurnChannel>();
  const held = new Set<string>();
  let subscribers = 0;
  let closed = false;

  const drop = (turnId: string): void => {
    if (!held.has(turnId) && channels.get(turnId)?.watched === false) channels.delete(turnId);
  };

  const channelOf = (turnId: string, position: bigint): TurnChannel => {
    let channel = channels.get(turnId);
    if (channel === undefined) {
      channel = createTurnChannel({
        turnId,
        position,
        onEnd: () => release(turnId),
        onUnwatched: () => drop(turnId),
      });
      channels.set(turnId, channel);
    }
    return channel;
  };

  const release = (turnId: string): void => {
    held.delete(turnId);
    drop(turnId);
  };

  return {
    get: (turnId) => channels.get(turnId),
    hold(turn, position) {
      held.add(turn.id);
      const channel = channelOf(turn.id, position);
      // Whoever watches already may not have seen all that is stored.
      if (!channel.watched) channel.know(turn, position);
      channel.show(turn);
      return channel;
    },
    release,
    show: (turn) => channels.get(turn.id)?.show(turn),
    subscribe(turnId, position, onClose = () => {}) {
      const channel = channelOf(turnId, position);
      const subscription = createTurnSubscription({
        position,
        maxBytes: options.maxBufferedBytes,
        onSlow: () => slowReader(turnId, options.maxBufferedBytes),
        onClose() {
          subscribers -= 1;
          channel.unsubscribe(subscription);
          onClose();
        },
      });
      subscribers += 1;
      channel.subscribe(subscription);
      if (closed) subscription.close(gatewayStopping());
      return subscription;
    },
    watched: () => [...channels.values()].filter((channel) => channel.watched),
    subscribers: () => subscribers,
    close() {
      closed = true;
      for (const channel of channels.values()) channel.close(gatewayStopping());
    },
  };
}
