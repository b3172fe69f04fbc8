/** What gateways tell one another about turns. */
export type GatewayNotice =
  /** A turn of the agent waits in the queue. */
  | { readonly kind: "queued"; readonly agentId: string }
  /** A turn under way was asked to end. */
  | { readonly kind: "cancel"; readonly agentId: string; readonly turnId: string; readonly reason: string };

/** How long a reason may be: a notification holds 8,000 bytes. */
const MAX_REASON_LENGTH = 500;

/** The notice as the payload of a notification. */
export function formatNotice(notice: GatewayNotice): string {
  return JSON.stringify(
    notice.kind === "cancel" ? { ...notice, reason: notice.reason.slice(0, MAX_REASON_LENGTH) } : notice,
  );
}

/** The notice in a payload; undefined for what this version does not know. */
export function parseNotice(payload: string): GatewayNotice | undefined {
  let notice: unknown;
  try {
    notice = JSON.parse(payload);
  } catch {
    return undefined;
  }
  if (typeof notice !== "object" || notice === null) return undefined;
  const { kind, agentId, turnId, reason } = notice as Record<string, unknown>;
  if (typeof agentId !== "string") return undefined;
  if (kind === "queued") return { kind, agentId };
  if (kind !== "cancel" || typeof turnId !== "string" || typeof reason !== "string") return undefined;
  return { kind, agentId, turnId, reason };
}
