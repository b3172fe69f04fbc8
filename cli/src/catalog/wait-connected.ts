import { setTimeout as sleep } from "node:timers/promises";
import { createProgressLine } from "../applied/progress-line.ts";
import type { Cli } from "../cli.ts";
import type { Gateway } from "../gateway-client.ts";
import { plainLine } from "../output/plain-text.ts";
import { millisecondsText } from "../output/time-text.ts";
import { readAgents, readConnections, type Connection } from "./connections.ts";

/** Between two looks at first, and at most. */
const POLL_MS = 200;
const MAX_POLL_MS = 2000;
/** How many agents that are not connected are listed. */
const LISTED = 20;

/**
 * Waits until a server's first connection has come to an end, one way or the other, with each of the agents that run
 * (empty: all). Says `16 of 17 connected to files`, who is not and why; true when all are.
 */
export async function waitConnected(
  cli: Cli,
  gateway: Gateway,
  options: { mcpServerId: string; agentIds: readonly string[]; timeoutMs: number },
): Promise<boolean> {
  const { mcpServerId, agentIds, timeoutMs } = options;
  const { terminal } = cli;
  const began = performance.now();
  const wanted = new Set(agentIds);
  const line = createProgressLine(terminal);
  try {
    // That a server is being connected anew is heard a moment after that its configuration is applied.
    await sleep(Math.min(POLL_MS, timeoutMs));
    for (let pause = POLL_MS; ; pause = Math.min(pause * 1.5, MAX_POLL_MS)) {
      const all = await readConnections(gateway, mcpServerId, await readAgents(gateway));
      const concerned = all.filter(
        ({ status, state }) =>
          status.enabled && state !== "waiting" && (wanted.size === 0 || wanted.has(status.agentId)),
      );
      const connected = concerned.filter(({ state }) => state === "connected").length;
      const open = concerned.filter(({ state }) => state === "connecting");
      const passed = performance.now() - began;
      if (open.length === 0 || passed >= timeoutMs) {
        line.clear();
        for (const words of endLines(cli, mcpServerId, concerned, passed)) terminal.say(words);
        return connected === concerned.length;
      }
      const names = open.slice(0, 8).map(({ status }) => status.agentId);
      line.show(`${connected} of ${concerned.length} connected to ${mcpServerId}, waiting for ${names.join(", ")}`);
      await sleep(Math.min(pause, timeoutMs - passed));
    }
  } finally {
    line.clear();
  }
}

function endLines({ terminal }: Cli, mcpServerId: string, concerned: readonly Connection[], ms: number): string[] {
  const missing = concerned.filter(({ state }) => state !== "connected");
  const connected = concerned.length - missing.length;
  const summary = `${connected} of ${concerned.length} connected to ${mcpServerId} (${millisecondsText(ms)})`;
  if (missing.length === 0) return concerned.length === 0 ? [] : [summary];
  const width = Math.max(...missing.slice(0, LISTED).map(({ status }) => status.agentId.length));
  return [
    terminal.paintWords(connected === 0 ? "red" : "yellow", `${summary}; not connected:`),
    ...missing.slice(0, LISTED).map(({ status, state }) => {
      const silence = state === "connecting" ? "it has not answered yet" : "";
      const why = status.lastError === "" ? silence : plainLine(status.lastError, 500);
      return `  ${status.agentId.padEnd(width)}  ${state}${why === "" ? "" : `: ${why}`}`;
    }),
    ...(missing.length > LISTED ? [`  and ${missing.length - LISTED} more`] : []),
    `they go on trying; bin/hermit mcp status ${mcpServerId} shows how they are`,
  ];
}
