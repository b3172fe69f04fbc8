import { ChangeAction, type Change } from "@openhermit/protocol/manifest/v1/manifest_service";
import { ask, canAsk } from "../ask.ts";
import type { Cli } from "../cli.ts";
import { CliError } from "../cli-error.ts";
import { ExitCode } from "../exit-code.ts";
import { resourceName } from "./plan-text.ts";

/** With more agents than this a yes is too little. */
const FEW_AGENTS = 5;
/** How many names are told; the plan has all. */
const MAX_NAMES = 12;

/**
 * Asks before a plan deletes anything: for yes, or with more than 5 agents for their number. Throws CliError unless the
 * person agrees; also where nobody can be asked. Asks nothing for a plan that deletes nothing.
 */
export async function confirmDeletions(cli: Cli, changes: readonly Change[], withoutAsking: string): Promise<void> {
  const deleted = changes.filter(({ action }) => action === ChangeAction.DELETE);
  if (deleted.length === 0) return;
  const names = deleted.slice(0, MAX_NAMES).map((change) => resourceName(change.resourceType, change.resourceId));
  if (deleted.length > names.length) names.push(`${deleted.length - names.length} more`);
  if (!canAsk(cli)) {
    throw new CliError(`nothing was changed: it would delete ${names.join(", ")}`, {
      why: "nobody can be asked here, since this is not a terminal",
      next: withoutAsking,
    });
  }
  const agents = deleted.filter(({ resourceType }) => resourceType === "agent").length;
  cli.terminal.say(cli.terminal.paintWords(["red", "bold"], "This deletes:"));
  for (const name of names) cli.terminal.say(`  ${name}`);
  const wanted = agents > FEW_AGENTS ? String(agents) : "yes";
  const what = agents > FEW_AGENTS ? `the number of agents it deletes (${agents})` : "yes";
  const typed = await ask(cli, `Type ${what} to go on: `);
  if (typed?.trim() === wanted) return;
  throw new CliError("nothing was changed", {
    why: typed === undefined ? undefined : `"${typed}" is not ${wanted}`,
    exitCode: ExitCode.interrupted,
  });
}
