/** What gateways tell each other on the channel `openhermit_mesh`. */
export type LinkNotice =
  /** Everything of the sidecar below this epoch ends. */
  | {
      readonly kind: "fence";
      readonly sidecarId: string;
      readonly epoch: bigint;
      readonly cause: "replaced" | "revoked";
    }
  /** Whoever holds the sidecar's link drains it. */
  | { readonly kind: "drain"; readonly sidecarId: string; readonly graceMs: number }
  /** A gateway has a new key. */
  | { readonly kind: "key" };

/** Reads a notice; undefined for one this version does not know. */
export function parseLinkNotice(payload: string): LinkNotice | undefined {
  let notice: Record<string, unknown>;
  try {
    notice = JSON.parse(payload) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  const { kind, sidecarId, epoch, cause, graceMs } = notice;
  if (kind === "key") return { kind };
  if (typeof sidecarId !== "string") return undefined;
  if (kind === "fence" && typeof epoch === "string" && /^\d{1,18}$/.test(epoch)) {
    return { kind, sidecarId, epoch: BigInt(epoch), cause: cause === "revoked" ? "revoked" : "replaced" };
  }
  return kind === "drain" && typeof graceMs === "number" ? { kind, sidecarId, graceMs } : undefined;
}
