import { Code, ConnectError } from "@connectrpc/connect";

import type { AccessTokens } from "../identity/access-token.ts";
import type { GatewayConnection } from "./gateway-connection.ts";

/** Asks the gateway for the bytes of a bundle that a snapshot of the agent names. */
export type ReadBundle = (agentId: string, digest: string, signal: AbortSignal) => Promise<Uint8Array>;

/** The most bytes that the encoding of a bundle has: its files, and what each of 1,000 has besides. */
const MAX_BYTES = 12 * 1024 * 1024;

/** Reads bundles over the connection of the link; also while the link itself is not attached. Nothing is checked but the
 * size. What goes wrong is an Error with a sentence; after an abort it is the signal's reason. */
export function createBundleReader(options: { connection: GatewayConnection; tokens: AccessTokens }): ReadBundle {
  const { connection, tokens } = options;
  return async (agentId, digest, signal) => {
    const headers = { authorization: `Bearer ${await untilAborted(tokens.get(signal), signal)}` };
    const parts: Uint8Array[] = [];
    let size = 0;
    try {
      for await (const { data } of connection.link.readBundle({ agentId, digest }, { headers, signal })) {
        parts.push(data);
        size += data.length;
        if (size > MAX_BYTES) throw new ConnectError("it is larger than a skill may be", Code.OutOfRange);
      }
    } catch (cause) {
      signal.throwIfAborted();
      const { code, rawMessage } = ConnectError.from(cause);
      if (code === Code.Unauthenticated) tokens.invalidate();
      throw new Error(rawMessage, { cause });
    }
    return Buffer.concat(parts);
  };
}

/** A token may be asked for with the patience of somebody else. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
