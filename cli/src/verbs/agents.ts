import type { DeclareVerb } from "../declare-verb.ts";
import { declareAgentsDelete } from "./agents-delete.ts";
import { declareAgentsGet } from "./agents-get.ts";
import { declareAgentsList } from "./agents-list.ts";
import { declareAgentsMove } from "./agents-move.ts";
import { declareAgentsRestart } from "./agents-restart.ts";
import { declareAgentsStart } from "./agents-start.ts";
import { declareAgentsStop } from "./agents-stop.ts";

const EXAMPLES = `Examples:
  $ hermit agents list
  $ hermit agents get one -o yaml
  $ hermit agents restart one --wait
  $ hermit agents move one --team payments
`;

/** `hermit agents`: the agents of the fleet. */
export const declareAgents: DeclareVerb = (program, cli) => {
  const agents = program
    .command("agents")
    .description("see, start, stop, move and delete agents")
    .addHelpText("before", EXAMPLES);
  declareAgentsList(agents, cli);
  declareAgentsGet(agents, cli);
  declareAgentsStart(agents, cli);
  declareAgentsStop(agents, cli);
  declareAgentsRestart(agents, cli);
  declareAgentsMove(agents, cli);
  declareAgentsDelete(agents, cli);
};
