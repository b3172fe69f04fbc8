import { createContextKey } from "@connectrpc/connect";

/** The id of a call, sent back as `x-request-id` and in every error. */
export const requestIdKey = createContextKey("", { description: "request id" });

/** The address a call came from. */
export const peerKey = createContextKey("", { description: "peer" });
