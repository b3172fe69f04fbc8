import { TeamSchema } from "@openhermit/protocol/access/v1/team";
import { accessClients } from "../access/access-clients.ts";
import { membersText } from "../access/team-view.ts";
import { outputOption, printMessage, type OutputFormat } from "../output/print.ts";
import { minuteText } from "../output/time-text.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit teams get TEAM`. */
export const declareTeamsGet: DeclareVerb = (teams, cli) => {
  teams
    .command("get")
    .argument("<team>", "the team's id")
    .description("show one team")
    .addOption(outputOption("text", "json", "jsonl", "yaml", "name"))
    .action(async (teamId: string, options: { output: OutputFormat }) => {
      const { team } = await accessClients(await cli.gateway()).teams.getTeam({ teamId });
      if (!team) return;
      await printMessage(cli.terminal, options.output, {
        schema: TeamSchema,
        message: team,
        rows: [
          ["Team", team.id],
          ["Name", team.displayName],
          ["Members", membersText(team)],
          ["Agents", String(team.agentCount)],
          ["Made", minuteText(team.createTime)],
        ],
        name: team.id,
      });
    });
};
