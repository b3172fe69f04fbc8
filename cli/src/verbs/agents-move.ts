import { CliError } from "../cli-error.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit agents move AGENT... --team TEAM`. */
export const declareAgentsMove: DeclareVerb = (agents, cli) => {
  agents
    .command("move")
    .argument("<agent...>", "the ids of the agents")
    .description("give agents to a team, which alone sees them from then on")
    .option("--team <id>", "the team that owns them from now on")
    .option("--no-team", "they are everybody's from now on")
    .action(async (agentIds: string[], options: { team?: string | boolean }) => {
      const team = options.team === false ? "" : options.team;
      if (typeof team !== "string") throw new CliError("there is no team", { next: "give --team TEAM or --no-team" });
      const gateway = await cli.gateway();
      for (const agentId of agentIds) {
        await gateway.fleet.updateAgent({ agent: { id: agentId, team }, updateMask: { paths: ["team"] } });
        cli.terminal.say(team === "" ? `agent ${agentId} is everybody's` : `agent ${agentId} is of team ${team}`);
      }
    });
};
