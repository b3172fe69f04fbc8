import { TeamSchema } from "@openhermit/protocol/access/v1/team";
import { accessClients } from "../access/access-clients.ts";
import { listAllTeams, teamColumns } from "../access/team-view.ts";
import { outputOption, printMessages, type OutputFormat } from "../output/print.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit teams list`. */
export const declareTeamsList: DeclareVerb = (teams, cli) => {
  teams
    .command("list")
    .alias("ls")
    .description("list the teams; without being an admin your own")
    .addOption(outputOption("table", "json", "jsonl", "yaml", "name"))
    .action(async (options: { output: OutputFormat }) => {
      await printMessages(cli.terminal, options.output, {
        schema: TeamSchema,
        messages: await listAllTeams(accessClients(await cli.gateway())),
        columns: teamColumns(cli.terminal),
        name: ({ id }) => id,
        none: "No teams that you see. An admin makes one: bin/hermit teams create TEAM",
      });
    });
};
