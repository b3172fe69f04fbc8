import { waitApplied } from "../applied/wait-applied.ts";
import type { WaitOptions } from "../applied/wait-options.ts";
import type { Cli } from "../cli.ts";
import { ExitCode } from "../exit-code.ts";
import type { Gateway } from "../gateway-client.ts";
import { waitConnected } from "./wait-connected.ts";

/**
 * With `--wait`, waits until the agents (empty: all) have applied what changed, and then in the rest of the time until
 * their first connection to each of the servers has come to an end. Sets the exit code 1 unless all went well.
 */
export async function waitForChange(
  cli: Cli,
  gateway: Gateway,
  options: { agentIds: readonly string[]; wait: WaitOptions; mcpServerIds?: readonly string[] },
): Promise<void> {
  const { agentIds, wait, mcpServerIds = [] } = options;
  if (wait.wait !== true) return;
  const end = performance.now() + wait.timeout;
  let isWell = await waitApplied(cli, gateway, { agentIds, timeoutMs: wait.timeout });
  for (const mcpServerId of mcpServerIds) {
    const timeoutMs = Math.max(0, end - performance.now());
    isWell = (await waitConnected(cli, gateway, { mcpServerId, agentIds, timeoutMs })) && isWell;
  }
  if (!isWell) cli.setExitCode(ExitCode.error);
}
