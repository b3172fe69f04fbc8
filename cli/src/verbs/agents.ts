import type { DeclareVerb } from "../declare-verb.ts";
import { declareAgentsDelete } from "./agents-delete.ts";
import { declareAgentsDiff } from "./agents-diff.ts";
import { declareAgentsGet } from "./agents-get.ts";
import { declareAgentsList } from "./agents-list.ts";
import { declareAgentsMove } from "./agents-move.ts";
import { declareAgentsRestart } from "./agents-restart.ts";
import { declareAgentsSet } from "./agents-set.ts";
import { declareAgentsStart } from "./agents-start.ts";
import { declareAgentsStop } from "./agents-stop.ts";

const EXAMPLES = `Examples:
  $ hermit agents list
  $ hermit agents get one -o yaml
  $ hermit agents set one model=offline/echo --wait
  $ hermit agents diff one two
  $ hermit agents restart one two --wait
  $ hermit agents move one --team payments
`;

/** `hermit agents`: the agents of the fleet. */
export const declareAgents: DeclareVerb = (program, cli) => {
  const agents = program
    .command("agents")
    .description("see, change, compare, start and stop agents")
    .addHelpText("before", EXAMPLES);
  declareAgentsList(agents, cli);
  declareAgentsGet(agents, cli);
  declareAgentsSet(agents, cli);
  declareAgentsDiff(agents, cli);
  declareAgentsStart(agents, cli);
  declareAgentsStop(agents, cli);
  declareAgentsRestart(agents, cli);
  declareAgentsMove(agents, cli);
  declareAgentsDelete(agents, cli);
};
