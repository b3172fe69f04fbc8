import type { DeclareVerb } from "../declare-verb.ts";
import { declareContextList } from "./context-list.ts";
import { declareContextRemove } from "./context-remove.ts";
import { declareContextShow } from "./context-show.ts";
import { declareContextUse } from "./context-use.ts";

const EXAMPLES = `Examples:
  $ hermit login --url https://mesh.example.com --context prod    makes one
  $ hermit context list
  $ hermit context use prod
  $ hermit context use local           back to the home of this host
  $ hermit agents list --context prod  once, without using it further

A context is a gateway with your login at it. Which gateway a command uses:
--url or --context, else OPENHERMIT_URL or OPENHERMIT_CONTEXT, else the home
that --home or OPENHERMIT_HOME names, else the current context, else the home.
`;

/** `hermit context`: the gateways a person works with. */
export const declareContext: DeclareVerb = (program, cli) => {
  const context = program
    .command("context")
    .description("switch between gateways that you are logged in to")
    .addHelpText("before", EXAMPLES);
  declareContextList(context, cli);
  declareContextUse(context, cli);
  declareContextShow(context, cli);
  declareContextRemove(context, cli);
};
