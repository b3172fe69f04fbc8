import type { Queryable } from "@openhermit/postgres";
import { thumbprintOf } from "./ed25519.ts";
import { readSidecarIdentity } from "./enrollment-store.ts";

/** A sidecar's registered key and agents. */
export interface SidecarIdentity {
  readonly thumbprint: string;
  readonly agentIds: string[];
}

/**
 * The registered keys of sidecars, read once and kept until a join or a revocation is announced, so that a valid
 * access token costs no statement and a revoked one is refused at once.
 */
export interface SidecarIdentities {
  /** Undefined for a sidecar that never joined or is revoked. Throws while the database is away and it is not known. */
  find(sidecarId: string): Promise<SidecarIdentity | undefined>;
  /** Forgets one sidecar. */
  forget(sidecarId: string): void;
  forgetAll(): void;
}

/** Creates an empty cache. It holds only sidecars that joined, so it is no larger than the fleet. */
export function createSidecarIdentities(options: { database: Queryable }): SidecarIdentities {
  const known = new Map<string, SidecarIdentity>();
  // What was read before a `forget` must not be kept after it.
  let version = 0;
  return {
    async find(sidecarId) {
      const cached = known.get(sidecarId);
      if (cached !== undefined) return cached;
      const versionBefore = version;
      const row = await readSidecarIdentity(options.database, sidecarId);
      if (row === undefined) return undefined;
      const identity = { thumbprint: thumbprintOf(row.publicKey), agentIds: row.agentIds };
      if (version === versionBefore) known.set(sidecarId, identity);
      return identity;
    },
    forget(sidecarId) {
      version += 1;
      known.delete(sidecarId);
    },
    forgetAll() {
      version += 1;
      known.clear();
    },
  };
}
