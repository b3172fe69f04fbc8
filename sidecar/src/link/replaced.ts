import { Code, ConnectError } from "@connectrpc/connect";

/**
 * Whether a stream ended because a newer attach of the same sidecar has taken over: the gateway said ABORTED. Connect gives the same
 * code to a connection that was reset, which the gateway's death causes too; such an error carries the socket's as its cause.
 */
export function isReplaced(failure: unknown): boolean {
  return failure instanceof ConnectError && failure.code === Code.Aborted && !(failure.cause instanceof Error);
}
