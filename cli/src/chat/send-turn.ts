import { toJson } from "@bufbuild/protobuf";
import { newUuidV7 } from "@openhermit/ids";
import { DisconnectPolicy, TurnEventSchema, TurnState, type Turn } from "@openhermit/protocol/sessions/v1/session";
import type { Cli } from "../cli.ts";
import { CliError } from "../cli-error.ts";
import { ExitCode } from "../exit-code.ts";
import type { Gateway } from "../gateway-client.ts";
import { plainLine } from "../output/plain-text.ts";
import { followTurn } from "./turn-stream.ts";
import { createTurnView } from "./turn-view.ts";

/** Which conversation a message belongs to. */
export type Conversation =
  | { case: "sessionId"; value: string }
  | { case: "chat"; value: { platform: string; chatType: string; chatId: string } }
  | { case: undefined };

/** One message to one agent. */
export interface TurnRequest {
  agentId: string;
  message: string;
  conversation: Conversation;
  /** `text` streams the answer, `jsonl` each event, `json` prints only the turn when it has ended. */
  format: "text" | "json" | "jsonl";
}

/** After how long without a start it is said that the turn waits. */
const QUIET_MS = 2000;
/** How long a cancelled turn may take to end before the command gives up on it. */
const CANCEL_PATIENCE_MS = 10_000;

/**
 * Sends a message and shows the turn until it ends. `onInterrupt` is where Ctrl-C comes from: the first one cancels
 * the turn, a second one leaves it. Returns the turn; undefined when it was left before it ended.
 */
export async function sendTurn(
  cli: Cli,
  gateway: Gateway,
  request: TurnRequest,
  onInterrupt: Cli["onInterrupt"],
): Promise<Turn | undefined> {
  const { agentId, message, conversation, format } = request;
  const { terminal } = cli;
  const leave = new AbortController();
  let cancelled = false;
  let broken = false;
  const view = createTurnView({
    text: (text) => format === "text" && terminal.write(text),
    work: (line) => format === "text" && terminal.say(terminal.paintWords("dim", `  ${line}`)),
    note: (line) => terminal.say(terminal.paintWords("dim", `  ${line}`)),
    sharesTerminal: terminal.isTerminal.out,
  });

  const stopListening = onInterrupt(() => {
    const turnId = view.turn?.id;
    if (cancelled || turnId === undefined) {
      leave.abort();
      return;
    }
    cancelled = true;
    view.note("cancelling; Ctrl-C again leaves the turn to itself");
    setTimeout(() => leave.abort(), CANCEL_PATIENCE_MS).unref();
    gateway.sessions.cancelTurn({ turnId }).catch((error: unknown) => {
      view.note(`the turn could not be cancelled: ${plainLine(String(error))}`);
    });
  });

  const quiet = setTimeout(() => {
    const state = view.turn?.state;
    if (state === TurnState.QUEUED || state === TurnState.OFFERED) {
      view.note(`waiting for the sidecar of ${agentId}, or for an earlier message`);
    }
  }, QUIET_MS);
  quiet.unref();

  try {
    const events = followTurn({
      sessions: gateway.sessions,
      request: { agentId, message, conversation, requestId: newUuidV7(), onDisconnect: DisconnectPolicy.CONTINUE },
      signal: leave.signal,
      onBreak: () => {
        if (!broken) view.note("the connection broke; taking the turn up again ...");
        broken = true;
      },
    });
    for await (const event of events) {
      broken = false;
      if (format === "jsonl") terminal.line(JSON.stringify(toJson(TurnEventSchema, event)));
      view.show(event);
    }
    return view.turn;
  } catch (error) {
    if (leave.signal.aborted) return undefined;
    throw error;
  } finally {
    clearTimeout(quiet);
    stopListening();
  }
}

/** The error of a turn that did not succeed, for a person. */
export function turnError(turn: Turn, agentId: string): CliError {
  const reason = turn.error?.reason ?? "";
  const what = reason === "" ? "the turn did not succeed" : reason.toLowerCase().replaceAll("_", " ");
  return new CliError(`${agentId}: ${what}`, {
    why: turn.error?.message === "" ? undefined : plainLine(turn.error?.message ?? "", 2000),
    next: turn.error?.retryable === true ? "send the message again" : `bin/hermit logs --agent ${agentId}`,
    exitCode: ExitCode.error,
  });
}
