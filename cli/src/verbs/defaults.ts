import type { DeclareVerb } from "../declare-verb.ts";
import { declareDefaultsGet } from "./defaults-get.ts";
import { declareDefaultsSet } from "./defaults-set.ts";

const EXAMPLES = `Examples:
  $ hermit defaults get
  $ hermit defaults set model=anthropic/claude-sonnet-4-5 --wait
  $ hermit defaults set turnLimits.timeout=5m instructions=@prompt.md

What an agent does not set itself it takes from here, each value for itself.
hermit agents get AGENT shows where its values come from.
`;

/** `hermit defaults`: what agents take that they do not set themselves. */
export const declareDefaults: DeclareVerb = (program, cli) => {
  const defaults = program
    .command("defaults")
    .description("see and change what agents take that they do not set")
    .addHelpText("before", EXAMPLES);
  declareDefaultsGet(defaults, cli);
  declareDefaultsSet(defaults, cli);
};
