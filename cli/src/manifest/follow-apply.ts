import { ConnectError } from "@connectrpc/connect";
import { ChangeAction, type Change } from "@openhermit/protocol/manifest/v1/manifest_service";
import { waitApplied } from "../applied/wait-applied.ts";
import type { WaitOptions } from "../applied/wait-options.ts";
import type { Cli } from "../cli.ts";
import type { Gateway } from "../gateway-client.ts";

/** How long a person who did not ask to wait sees how far it is, in milliseconds. */
const GLANCE_MS = 10_000;

/**
 * Waits, when asked to, until the agents have applied what was changed: true or false then. Else shows on a terminal for
 * some seconds how far they are, and returns undefined whatever becomes of it.
 */
export async function followApply(
  cli: Cli,
  gateway: Gateway,
  changes: readonly Change[],
  { wait, timeout }: WaitOptions,
): Promise<boolean | undefined> {
  const agentIds = concernedAgents(changes);
  if (wait === true)
    return agentIds === undefined || (await waitApplied(cli, gateway, { agentIds, timeoutMs: timeout }));
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

/** The agents that run with something else now; empty: maybe all; undefined: none. */
function concernedAgents(changes: readonly Change[]): string[] | undefined {
  // Nothing was changed: what was before may still be on its way.
  if (changes.length === 0 || changes.some(({ resourceType }) => resourceType !== "agent")) return [];
  const left = changes.filter(({ action }) => action !== ChangeAction.DELETE);
  return left.length === 0 ? undefined : left.map(({ resourceId }) => resourceId);
}
