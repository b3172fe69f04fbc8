import { accessClients } from "../access/access-clients.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit teams create TEAM`. */
export const declareTeamsCreate: DeclareVerb = (teams, cli) => {
  teams
    .command("create")
    .argument("<new-team>", "an id: lower-case letters, digits, dashes")
    .description("make a team")
    .option("--name <name>", "the name shown to people")
    .action(async (id: string, options: { name?: string }) => {
      const clients = accessClients(await cli.gateway());
      await clients.teams.createTeam({ team: { id, displayName: options.name ?? "" } });
      cli.terminal.say(`team ${id} is made; put somebody in: bin/hermit teams add ${id} MEMBER`);
    });
};
