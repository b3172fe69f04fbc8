import { createContextKey, type HandlerContext } from "@connectrpc/connect";

/** Who makes a call, as its credential says. */
export type Caller =
  | { readonly kind: "principal"; /** `operator`, or a user. */ readonly id: string }
  | { readonly kind: "sidecar"; readonly sidecarId: string; readonly agentIds: readonly string[] }
  | { readonly kind: "anonymous" };

/** The caller of a call without a credential. */
export const ANONYMOUS: Caller = { kind: "anonymous" };

/** Where the gate puts the caller. */
export const callerKey = createContextKey<Caller>(ANONYMOUS, { description: "caller" });

/** Who makes the call that is being handled. */
export function callerOf(context: HandlerContext): Caller {
  return context.values.get(callerKey);
}

/** The caller in a log: never more than an id. */
export function callerName(caller: Caller): string {
  switch (caller.kind) {
    case "principal":
      return caller.id;
    case "sidecar":
      return `sidecar:${caller.sidecarId}`;
    case "anonymous":
      return "anonymous";
  }
}
