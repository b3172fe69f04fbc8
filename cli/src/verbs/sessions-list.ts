import { InvalidArgumentError } from "commander";
import { SessionSchema, type Session } from "@openhermit/protocol/sessions/v1/session";
import { outputOption, printMessages, type OutputFormat } from "../output/print.ts";
import { ageText } from "../output/time-text.ts";
import type { Column } from "../output/table.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const COLUMNS: Column<Session>[] = [
  { title: "SESSION", text: (session) => session.id },
  { title: "AGENT", text: (session) => session.agentId },
  { title: "CHANNEL", optional: true, text: (session) => session.channel },
  { title: "USER", optional: true, text: (session) => session.userId },
  { title: "TURNS", optional: true, text: (session) => String(session.turnCount) },
  { title: "ACTIVE", text: (session) => ageText(session.lastActivityTime) },
  { title: "TITLE", text: (session) => session.title },
];

/** `hermit sessions list`. */
export const declareSessionsList: DeclareVerb = (sessions, cli) => {
  sessions
    .command("list")
    .alias("ls")
    .description("list sessions, newest activity first")
    .option("--agent <id>", "only of this agent")
    .option("--limit <n>", "how many at most, up to 1000", parseLimit, 50)
    .addOption(outputOption("table", "json", "jsonl", "yaml", "name"))
    .action(async (options: { agent?: string; limit: number; output: OutputFormat }) => {
      const gateway = await cli.gateway();
      const page = await gateway.sessions.listSessions({ agentId: options.agent ?? "", pageSize: options.limit });
      // A typo is told from an agent that nobody has talked with.
      if (page.sessions.length === 0 && options.agent !== undefined)
        await gateway.fleet.getAgent({ agentId: options.agent });
      await printMessages(cli.terminal, options.output, {
        schema: SessionSchema,
        messages: page.sessions,
        columns: COLUMNS,
        name: (session) => session.id,
        none: "No sessions yet. Begin one: bin/hermit chat AGENT",
      });
      if (page.nextPageToken !== "") cli.terminal.say(`There are more; --limit shows up to 1000.`);
    });
};

function parseLimit(text: string): number {
  const limit = Number(text);
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000) throw new InvalidArgumentError("It must be 1 to 1000.");
  return limit;
}
