import { toJson, type JsonValue } from "@bufbuild/protobuf";
import {
  SessionSchema,
  TranscriptEntrySchema,
  type Session,
  type TranscriptEntry,
} from "@openhermit/protocol/sessions/v1/session";
import type { Gateway } from "../gateway-client.ts";
import { outputOption, printValue, type OutputFormat } from "../output/print.ts";
import { plainLine, plainText } from "../output/plain-text.ts";
import { clockText, durationText } from "../output/time-text.ts";
import type { Terminal } from "../output/terminal.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit sessions show SESSION`. */
export const declareSessionsShow: DeclareVerb = (sessions, cli) => {
  sessions
    .command("show")
    .argument("<session>", "the session's id")
    .description("print a session's transcript")
    .addOption(outputOption("text", "json", "jsonl", "yaml"))
    .action(async (sessionId: string, options: { output: OutputFormat }) => {
      const gateway = await cli.gateway();
      const { session } = await gateway.sessions.getSession({ sessionId });
      if (!session) return;
      const { terminal } = cli;
      if (options.output === "text") {
        terminal.line(terminal.paint("bold", `${session.agentId}  ${session.id}  ${plainLine(session.key)}`));
        for await (const entry of transcript(gateway, sessionId)) printEntry(terminal, session, entry);
        return;
      }
      if (options.output === "jsonl") {
        for await (const entry of transcript(gateway, sessionId)) {
          terminal.line(JSON.stringify(toJson(TranscriptEntrySchema, entry)));
        }
        return;
      }
      const entries: JsonValue[] = [];
      for await (const entry of transcript(gateway, sessionId)) entries.push(toJson(TranscriptEntrySchema, entry));
      await printValue(terminal, options.output, { session: toJson(SessionSchema, session), entries });
    });
};

/** All entries of a session, page after page. */
async function* transcript(gateway: Gateway, sessionId: string): AsyncGenerator<TranscriptEntry> {
  let afterPosition = 0n;
  for (;;) {
    const { entries } = await gateway.sessions.listTranscript({ sessionId, afterPosition, pageSize: 500 });
    yield* entries;
    const last = entries.at(-1);
    if (!last) return;
    afterPosition = last.position;
  }
}

function printEntry(terminal: Terminal, session: Session, { entry, time }: TranscriptEntry): void {
  const heading = (who: string): void => terminal.line(`\n${terminal.paint("dim", clockText(time))} ${who}`);
  switch (entry.case) {
    case "userMessage":
      heading(terminal.paint("cyan", session.userId === "" ? "user" : plainLine(session.userId)));
      terminal.line(plainText(entry.value.text));
      break;
    case "assistantMessage":
      heading(terminal.paint("green", session.agentId));
      if (entry.value.text !== "") terminal.line(plainText(entry.value.text));
      for (const call of entry.value.toolCalls) {
        terminal.line(terminal.paint("dim", `→ ${plainLine(call.name)} ${plainLine(call.argumentsJson, 1000)}`));
      }
      break;
    case "toolResult": {
      const mark = entry.value.isError ? "✗" : "✓";
      const took = durationText(entry.value.duration);
      terminal.line(
        terminal.paint("dim", `${mark} ${plainLine(entry.value.name)} ${took}: ${plainLine(entry.value.text, 1000)}`),
      );
      break;
    }
    case undefined:
      break;
  }
}
