import type { Cli } from "../cli.ts";
import { eachTarget } from "../each-target.ts";
import { EVERY_AGENT, type Assigned } from "./agent-target.ts";
import type { CatalogKind } from "./catalog-item.ts";

/**
 * Gives a thing of the catalogue to agents, or takes it from them, and says what that means for each. Goes on after an
 * error of one of several. Returns the agents, or `*`, for which it went well.
 */
export async function changeAssignment(
  cli: Cli,
  kind: CatalogKind,
  action: "enable" | "disable",
  { id, targets }: { id: string; targets: readonly string[] },
): Promise<string[]> {
  const gateway = await cli.gateway();
  return eachTarget(cli, "agent", targets, async (target) => {
    const { item, changed } = await kind[action](gateway, id, target);
    const say = action === "enable" ? enabledText : disabledText;
    cli.terminal.say(say({ kind, id, target, changed, assigned: item ?? { agents: [], disabledAgents: [] } }));
    return target;
  });
}

interface Said {
  kind: CatalogKind;
  id: string;
  target: string;
  changed: boolean;
  assigned: Assigned;
}

function enabledText({ kind, id, target, changed, assigned }: Said): string {
  const now = changed ? "now" : "already";
  if (target !== EVERY_AGENT) return `${id} is ${now} used by agent ${target}`;
  const { disabledAgents } = assigned;
  if (disabledAgents.length === 0) return `${id} is ${now} used by every agent, also every future one`;
  const flags = disabledAgents.map((agent) => `--agent ${agent}`).join(" ");
  return (
    `${id} is ${now} used by every agent, also every future one, except ${disabledAgents.join(", ")}; ` +
    `give it to them too: bin/hermit ${kind.verb} enable ${id} ${flags}`
  );
}

function disabledText({ id, target, changed, assigned }: Said): string {
  const isEverybodys = assigned.agents.includes(EVERY_AGENT);
  if (target !== EVERY_AGENT) {
    const others = isEverybodys ? "; other agents still use it, by '*'" : "";
    return changed
      ? `${id} is no longer used by agent ${target}${others}`
      : `${id} is not used by agent ${target} anyway`;
  }
  const { agents } = assigned;
  if (agents.length === 0) return changed ? `${id} is no longer used by any agent` : `${id} is used by no agent anyway`;
  const own = `${agents.join(", ")} still ${agents.length === 1 ? "has" : "have"} it by ${agents.length === 1 ? "itself" : "themselves"}`;
  return changed ? `${id} is no longer used by '*'; ${own}` : `${id} is not used by '*' anyway; ${own}`;
}
