import { Argument } from "commander";
import type { Subject } from "@openhermit/protocol/access/v1/subject";
import { accessClients } from "../access/access-clients.ts";
import { parseTeamMember, subjectText } from "../access/subject-text.ts";
import { listed } from "../listed.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit teams remove TEAM SUBJECT...`. */
export const declareTeamsRemove: DeclareVerb = (teams, cli) => {
  teams
    .command("remove")
    .argument("<team>", "the team's id")
    .addArgument(new Argument("<team-member...>", "alice, or service-account:ci").argParser(listed(parseTeamMember)))
    .description("take members or service accounts out of a team")
    .action(async (teamId: string, subjects: Subject[]) => {
      const clients = accessClients(await cli.gateway());
      for (const subject of subjects) {
        await clients.teams.removeTeamMember({ teamId, subject });
        cli.terminal.say(`${subjectText(subject)} is in team ${teamId} no more`);
      }
    });
};
