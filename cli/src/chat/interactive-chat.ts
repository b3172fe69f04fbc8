import { createInterface } from "node:readline";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import type { Cli } from "../cli.ts";
import { createInterrupts } from "../interrupts.ts";
import type { Gateway } from "../gateway-client.ts";
import { reportError, toCliError } from "../error-report.ts";
import { sendTurn, turnError, type Conversation } from "./send-turn.ts";

const HELP = "/new begins a new conversation, /exit leaves. Ctrl-C cancels an answer.";

/** Talks with an agent on a terminal until the person leaves. Lines typed during an answer are sent after it. */
export async function chatInteractively(
  cli: Cli,
  gateway: Gateway,
  agentId: string,
  first: Conversation,
): Promise<void> {
  const { terminal } = cli;
  let conversation = first;
  let answering = false;
  const prompt = createInterface({
    input: cli.stdin,
    output: process.stderr,
    prompt: terminal.paintWords("cyan", "› "),
  });
  // In a readline Ctrl-C is a key, not a signal.
  const interrupts = createInterrupts(() => prompt.close());
  prompt.on("SIGINT", () => {
    // As in a shell: what is typed is thrown away first. During an answer the key is for the answer.
    if (answering || prompt.line === "") {
      interrupts.raise("SIGINT");
      return;
    }
    prompt.write(null, { ctrl: true, name: "e" });
    prompt.write(null, { ctrl: true, name: "u" });
  });
  const stopListening = cli.onInterrupt((signal) => interrupts.raise(signal));

  terminal.say(`Talking with ${agentId}.\n${HELP}`);
  prompt.prompt();
  try {
    for await (const line of prompt) {
      const message = line.trim();
      if (message === "/exit" || message === "/quit") break;
      if (message === "/new") {
        conversation = { case: undefined };
        terminal.say("A new conversation begins.");
      } else if (message === "/help") {
        terminal.say(HELP);
      } else if (message !== "") {
        answering = true;
        conversation = await answer(message);
        answering = false;
      }
      prompt.prompt();
    }
  } finally {
    stopListening();
    prompt.close();
    terminal.say("");
  }

  async function answer(message: string): Promise<Conversation> {
    try {
      const turn = await sendTurn(cli, gateway, { agentId, message, conversation, format: "text" }, interrupts.listen);
      if (turn?.state === TurnState.CANCELLED) terminal.say(terminal.paintWords("dim", "  cancelled"));
      else if (turn && turn.state !== TurnState.SUCCEEDED) reportError(terminal, turnError(turn, agentId));
      // A new conversation has a session from its first turn on.
      if (turn && conversation.case === undefined) return { case: "sessionId", value: turn.sessionId };
    } catch (error) {
      // One message failed; the person stays and may send another.
      reportError(terminal, toCliError(error, gateway));
    }
    return conversation;
  }
}
