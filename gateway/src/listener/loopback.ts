import { isIPv4 } from "node:net";

/** Whether a listener on this host is reachable from this machine only. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  return name === "localhost" || name === "::1" || (isIPv4(name) && name.startsWith("127."));
}
