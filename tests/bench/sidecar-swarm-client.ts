import { fork } from "node:child_process";
import { once } from "node:events";
import { cleanEnvironment } from "../fixture/running-fleet.ts";
import type { SwarmOrder, SwarmReport } from "./peers/sidecar-swarm.ts";

/** Simulated sidecars in a process of their own. */
export interface SidecarSwarm {
  readonly pid: number;
  /** Joins and attaches one sidecar for each token; resolves when all have applied their first snapshot. */
  attach(gatewayUrl: string, joinTokens: readonly { agentId: string; joinToken: string }[]): Promise<void>;
  /** Makes a change, and tells when the first and the last of all sidecars applied it, in ms since it was begun. */
  timeOf(change: () => Promise<unknown>): Promise<{ firstMs: number; lastMs: number }>;
  stop(): Promise<void>;
}

/** Starts a process without sidecars. */
export function startSidecarSwarm(): SidecarSwarm {
  const file = new URL("./peers/sidecar-swarm.ts", import.meta.url);
  const child = fork(file.pathname, { env: cleanEnvironment(), stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const ended = new Promise<never>((_, reject) => {
    child.once("exit", (code) => reject(new Error(`the sidecars ended with ${code}`)));
  });
  // Nobody may be waiting when it is stopped.
  ended.catch(() => undefined);

  const report = async <Kind extends SwarmReport["kind"]>(
    kind: Kind,
  ): Promise<Extract<SwarmReport, { kind: Kind }>> => {
    const [message] = (await Promise.race([once(child, "message"), ended])) as [SwarmReport];
    if (message.kind !== kind) throw new Error(`the sidecars told "${message.kind}" instead of "${kind}"`);
    return message as Extract<SwarmReport, { kind: Kind }>;
  };
  const order = (what: SwarmOrder): Promise<void> =>
    new Promise((resolve, reject) => child.send(what, (error) => (error === null ? resolve() : reject(error))));

  return {
    pid: child.pid ?? 0,
    async attach(gatewayUrl, joinTokens) {
      const attached = report("attached");
      await order({ kind: "attach", gatewayUrl, joinTokens });
      await attached;
    },
    async timeOf(change) {
      const watching = report("watching");
      await order({ kind: "watch" });
      await watching;
      const told = report("applied");
      const begin = process.hrtime.bigint();
      await change();
      const { firstNs, lastNs } = await told;
      const since = (ns: string): number => Number(BigInt(ns) - begin) / 1e6;
      return { firstMs: since(firstNs), lastMs: since(lastNs) };
    },
    async stop() {
      if (child.exitCode !== null) return;
      const gone = once(child, "exit");
      child.disconnect();
      await gone;
    },
  };
}
