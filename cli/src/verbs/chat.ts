import { text as readAll } from "node:stream/consumers";
import { toJson } from "@bufbuild/protobuf";
import { TurnSchema, TurnState } from "@openhermit/protocol/sessions/v1/session";
import { chatInteractively } from "../chat/interactive-chat.ts";
import { sendTurn, turnError, type Conversation } from "../chat/send-turn.ts";
import type { Cli } from "../cli.ts";
import { CliError } from "../cli-error.ts";
import { ExitCode } from "../exit-code.ts";
import { outputOption, printValue } from "../output/print.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit chat one                            talk, line by line
  $ hermit chat one "use echo to say hello"    one message, answered on stdout
  $ git diff | hermit chat two "review this:" -   text, then stdin
  $ hermit chat one "what did I say?" --session 0199...

Your messages share one conversation with each agent, by the name that you are
logged in with, or else by your user name on this machine, unless you say --new
or --session.
`;

interface ChatOptions {
  session?: string;
  new?: boolean;
  output: "text" | "json" | "jsonl";
}

/** `hermit chat AGENT ["text"]`. */
export const declareChat: DeclareVerb = (program, cli) => {
  program
    .command("chat")
    .argument("<agent>", "the agent's id")
    .argument("[text...]", "the message, - is stdin; without it you talk line by line")
    .description("talk with an agent")
    .addHelpText("before", EXAMPLES)
    .option("--session <id>", "continue this session")
    .option("--new", "begin a new conversation")
    .addOption(outputOption("text", "json", "jsonl"))
    .action(async (agentId: string, words: string[], options: ChatOptions) => {
      refuseBoth(options);
      const gateway = await cli.gateway();
      const { source } = gateway;
      const conversation = conversationOf(source?.kind === "context" ? source.subject : cli.config.userName, options);
      const message = await messageOf(cli, words);
      if (message === undefined) {
        // Fails here, before a person types, when the agent does not exist.
        await gateway.fleet.getAgent({ agentId });
        await chatInteractively(cli, gateway, agentId, conversation);
        return;
      }
      const format = options.output;
      const turn = await sendTurn(cli, gateway, { agentId, message, conversation, format }, cli.onInterrupt);
      if (turn && format === "json") await printValue(cli.terminal, "json", toJson(TurnSchema, turn));
      if (turn?.state === TurnState.SUCCEEDED) return;
      if (!turn || turn.state === TurnState.CANCELLED) {
        if (turn) cli.terminal.say("cancelled");
        cli.setExitCode(ExitCode.interrupted);
        return;
      }
      throw turnError(turn, agentId);
    });
};

function refuseBoth(options: ChatOptions): void {
  if (options.session !== undefined && options.new === true) {
    throw new CliError("--new and --session contradict each other", { next: "give one of them" });
  }
}

/** The conversation of this person with the agent, unless another one is asked for. */
function conversationOf(person: string, options: ChatOptions): Conversation {
  if (options.session !== undefined) return { case: "sessionId", value: options.session };
  if (options.new === true) return { case: undefined };
  return { case: "chat", value: { platform: "cli", chatType: "dm", chatId: person.replaceAll(":", "_") } };
}

/** The words, with stdin in the place of `-`; all of stdin without words; undefined when a person is to type it. */
async function messageOf(cli: Cli, words: readonly string[]): Promise<string | undefined> {
  const fromStdin = words.length === 0 || words.includes("-");
  if (!fromStdin) return words.join(" ");
  if (words.length === 0 && cli.stdin.isTTY === true) return undefined;
  const piped = (await readAll(cli.stdin)).trimEnd();
  if (piped === "")
    throw new CliError("there is no message", { why: "stdin is empty", next: 'bin/hermit chat AGENT "text"' });
  const before = words.slice(0, words.indexOf("-")).join(" ");
  const after = words.slice(words.indexOf("-") + 1).join(" ");
  return words.length === 0 ? piped : [before, piped, after].filter((part) => part !== "").join("\n\n");
}
