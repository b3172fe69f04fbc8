import { Code, ConnectError } from "@connectrpc/connect";
import { accessClients } from "../access/access-clients.ts";
import type { Login } from "../contexts/context.ts";
import { createGateway } from "../gateway-client.ts";

/** How long it may take, in milliseconds. */
const PATIENCE_MS = 10_000;

/** Ends a token at its gateway. False when it may work still, since the gateway does not answer. */
export async function endLogin({ url, token }: Login): Promise<boolean> {
  const gateway = createGateway({ url, token });
  try {
    await accessClients(gateway).login.logout({}, { timeoutMs: PATIENCE_MS });
    return true;
  } catch (error) {
    // It had ended before.
    return error instanceof ConnectError && error.code === Code.Unauthenticated;
  } finally {
    gateway.close();
  }
}
