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
  return new Watch(reach);
}

// A class, since one is made for each call.
class Watch implements WatchedReach {
  readonly #reach: Reach;
  #refused: string | undefined;
  #held: Map<string, string | undefined> | undefined;

  constructor(reach: Reach) {
    this.#reach = reach;
  }

  get all(): boolean {
    return this.#reach.all;
  }

  has(id: string, owner?: string): boolean {
    const has = this.#reach.has(id, owner);
    if (!has) {
      this.#refused ??= id;
      return false;
    }
    this.#held ??= new Map();
    if (this.#held.size < MAX_REMEMBERED) {
      this.#held.set(id, owner);
    }
    return true;
  }

  ids(): string[] {
    return this.#reach.ids();
  }

  refused(): string | undefined {
    return this.#refused;
  }

  holds(): boolean {
    return [...(this.#held ?? [])].every(([id, owner]) => this.#reach.has(id, owner));
  }
}
