import { accessClients } from "../access/access-clients.ts";
import { membersText } from "../access/team-view.ts";
import { confirm } from "../ask.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit teams delete TEAM`. */
export const declareTeamsDelete: DeclareVerb = (teams, cli) => {
  teams
    .command("delete")
    .argument("<team>", "the team's id")
    .description("remove a team that owns no agents, with its grants; asks for its name")
    .option("-y, --yes", "do not ask")
    .action(async (teamId: string, options: { yes?: boolean }) => {
      const clients = accessClients(await cli.gateway());
      if (options.yes !== true) {
        const { team } = await clients.teams.getTeam({ teamId });
        if (!team) return;
        cli.terminal.say(`Team ${teamId} (${membersText(team)}) loses its grants.`);
        await confirm(cli, {
          target: `team ${teamId}`,
          done: "deleted",
          name: teamId,
          withoutAsking: `bin/hermit teams delete ${teamId} --yes`,
        });
      }
      await clients.teams.deleteTeam({ teamId });
      cli.terminal.say(`team ${teamId} is deleted`);
    });
};
