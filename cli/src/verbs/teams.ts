import type { DeclareVerb } from "../declare-verb.ts";
import { declareTeamsAdd } from "./teams-add.ts";
import { declareTeamsCreate } from "./teams-create.ts";
import { declareTeamsDelete } from "./teams-delete.ts";
import { declareTeamsGet } from "./teams-get.ts";
import { declareTeamsList } from "./teams-list.ts";
import { declareTeamsRemove } from "./teams-remove.ts";

const EXAMPLES = `Examples:
  $ hermit teams create payments
  $ hermit teams add payments alice service-account:ci
  $ hermit agents move one --team payments    from now on the team's alone

Whoever is not in an agent's team does not see it, except admins, owners and
who holds a grant. An agent without a team is everybody's.
`;

/** `hermit teams`: who owns agents. */
export const declareTeams: DeclareVerb = (program, cli) => {
  const teams = program.command("teams").description("manage teams, which own agents").addHelpText("before", EXAMPLES);
  declareTeamsList(teams, cli);
  declareTeamsGet(teams, cli);
  declareTeamsCreate(teams, cli);
  declareTeamsAdd(teams, cli);
  declareTeamsRemove(teams, cli);
  declareTeamsDelete(teams, cli);
};
