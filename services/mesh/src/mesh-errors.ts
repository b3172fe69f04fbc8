import { conflict, unauthenticated, unavailable, type MeshError } from "@openhermit/errors";

/** A newer attach has taken over; sent as ABORTED. */
export function superseded(sidecarId: string): MeshError {
  return conflict("EPOCH_SUPERSEDED", `a newer attach of sidecar "${sidecarId}" has taken over`, {
    hint: "Stop writing under this epoch; attach again only if this process is meant to be the sidecar.",
    fields: { sidecar_id: sidecarId },
  });
}

/** The sidecar's key is revoked. */
export function revoked(sidecarId: string): MeshError {
  return unauthenticated("SIDECAR_REVOKED", `sidecar "${sidecarId}" is revoked or never joined`, {
    hint: "Join again with a new join token.",
    fields: { sidecar_id: sidecarId },
  });
}

/** The gateway is going away. */
export function gatewayStopping(): MeshError {
  return unavailable("GATEWAY_STOPPING", "the gateway is stopping", { hint: "Attach again in a moment." });
}

/** Whether the error says that a part is away, so that the same work may succeed later. */
export function isAway(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === "unavailable";
}
