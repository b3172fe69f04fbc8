import type { Reach } from "@openhermit/caller";

/** A reach that remembers what it was asked, for what comes after the call. */
export interface WatchedReach extends Reach {
  /** The first thing that was asked for and out of reach. */
  refused(): string | undefined;
  /** Whether all that was asked for and in reach still is. */
  holds(): boolean;
}

/** What is remembered of one call. A call names few things; one that goes through thousands is not bound to any. */
const MAX_REMEMBERED = 100;

/** Watches a reach. It follows changes as the reach itself does. */
export function watchReach(reach: Reach): WatchedReach {
  let refused: string | undefined;
  const held = new Map<string, string | undefined>();
  return {
    get all() {
      return reach.all;
    },
    has(id, owner) {
      const has = reach.has(id, owner);
      if (!has) {
        refused ??= id;
      } else if (held.size < MAX_REMEMBERED) {
        held.set(id, owner);
      }
      return has;
    },
    ids: () => reach.ids(),
    refused: () => refused,
    holds: () => [...held].every(([id, owner]) => reach.has(id, owner)),
  };
}
