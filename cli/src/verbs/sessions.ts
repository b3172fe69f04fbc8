import type { DeclareVerb } from "../declare-verb.ts";
import { declareSessionsList } from "./sessions-list.ts";
import { declareSessionsShow } from "./sessions-show.ts";

const EXAMPLES = `Examples:
  $ hermit sessions list --agent one
  $ hermit sessions show 0199a2f0-...
`;

/** `hermit sessions`: the conversations. */
export const declareSessions: DeclareVerb = (program, cli) => {
  const sessions = program.command("sessions").description("see the conversations").addHelpText("before", EXAMPLES);
  declareSessionsList(sessions, cli);
  declareSessionsShow(sessions, cli);
};
