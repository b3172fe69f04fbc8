import { ConnectError } from "@connectrpc/connect";
import { ChangeAction, type Change } from "@openhermit/protocol/manifest/v1/manifest_service";
import { waitApplied } from "../applied/wait-applied.ts";
import type { WaitOptions } from "../applied/wait-options.ts";
import type { Cli } from "../cli.ts";
import type { Gateway } from "../gateway-client.ts";

/** How long a person who did not ask to wait sees how far it is, in milliseconds. */
const GLANCE_MS = 10_000;

/** How an apply that was waited for has ended. */
export interface ApplyOutcome {
  allApplied: boolean;
  /** Whether the agents are connected to every MCP server that was made or changed; undefined: none was. */
  allConnected?: boolean;
}

/**
 * Waits, when asked to, until the agents have applied what was changed, and in the rest of the time until their first
 * connections to the MCP servers that were made or changed have come to an end. Else shows on a terminal for
 * some seconds how far they are, and returns undefined whatever becomes of it.
 */
export async function followApply(
  cli: Cli,
  gateway: Gateway,
  changes: readonly Change[],
  { wait, timeout }: WaitOptions,
): Promise<ApplyOutcome | undefined> {
  const agentIds = concernedAgents(changes);
  if (wait === true) {
    if (agentIds === undefined) return { allApplied: true };
    const end = performance.now() + timeout;
    const allApplied = await waitApplied(cli, gateway, { agentIds, timeoutMs: timeout });
    return { allApplied, ...(await followConnections(cli, gateway, changes, end)) };
  }
  if (!cli.terminal.isTerminal.words || changes.length === 0 || agentIds === undefined) return undefined;
  try {
    const all = await waitApplied(cli, gateway, { agentIds, timeoutMs: GLANCE_MS });
    if (!all) cli.terminal.say("they go on by themselves; bin/hermit agents list shows how they are");
  } catch (error) {
    // The manifest is applied. That it can't be watched is another matter, and none of who did not ask to wait.
    if (!(error instanceof ConnectError)) throw error;
  }
  return undefined;
}

async function followConnections(
  cli: Cli,
  gateway: Gateway,
  changes: readonly Change[],
  end: number,
): Promise<Pick<ApplyOutcome, "allConnected">> {
  const servers = changes.filter(
    ({ resourceType, action }) => resourceType === "mcp-server" && action !== ChangeAction.DELETE,
  );
  if (servers.length === 0) return {};
  const { waitConnected } = await import("../catalog/wait-connected.ts");
  let allConnected = true;
  for (const { resourceId } of servers) {
    const timeoutMs = Math.max(0, end - performance.now());
    const options = { mcpServerId: resourceId, agentIds: [], timeoutMs };
    allConnected = (await waitConnected(cli, gateway, options)) && allConnected;
  }
  return { allConnected };
}

/** The agents that run with something else now; empty: maybe all; undefined: none. */
function concernedAgents(changes: readonly Change[]): string[] | undefined {
  // Nothing was changed: what was before may still be on its way.
  if (changes.length === 0 || changes.some(({ resourceType }) => resourceType !== "agent")) return [];
  const left = changes.filter(({ action }) => action !== ChangeAction.DELETE);
  return left.length === 0 ? undefined : left.map(({ resourceId }) => resourceId);
}
