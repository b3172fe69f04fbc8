import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { readGatewayFile } from "../find-gateway.ts";

const PATIENCE_MS = 30_000;

/**
 * Waits for the gateway of an earlier `up` that was killed: it notices that on its lifeline, drains and ends. Starting
 * before that would find its port in use.
 */
export async function waitForEarlierGateway(
  home: string,
  signal: AbortSignal,
  onWait: (pid: number) => void,
): Promise<void> {
  const pid = readGatewayFile(home)?.pid;
  if (pid === undefined || !isGateway(pid)) return;
  onWait(pid);
  const deadline = Date.now() + PATIENCE_MS;
  while (isGateway(pid) && Date.now() < deadline) await sleep(100, undefined, { signal });
}

/** Whether the process is a gateway, and not another program that got its number. Linux only; elsewhere false. */
function isGateway(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("gateway/src/main.ts");
  } catch {
    return false;
  }
}
