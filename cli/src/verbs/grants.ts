import type { DeclareVerb } from "../declare-verb.ts";
import { declareGrantsAdd } from "./grants-add.ts";
import { declareGrantsList } from "./grants-list.ts";
import { declareGrantsRemove } from "./grants-remove.ts";

const EXAMPLES = `Examples:
  $ hermit grants add one alice                     alice may see agent one
  $ hermit grants add one team:payments --role operator
  $ hermit grants list --agent one
  $ hermit grants remove one alice

A grant reaches one agent, whatever its team.
`;

/** `hermit grants`: rights to single agents. */
export const declareGrants: DeclareVerb = (program, cli) => {
  const grants = program
    .command("grants")
    .description("give and take rights to single agents")
    .addHelpText("before", EXAMPLES);
  declareGrantsList(grants, cli);
  declareGrantsAdd(grants, cli);
  declareGrantsRemove(grants, cli);
};
