import { toJson } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Option } from "commander";
import { AuditOutcome, AuditRecordSchema, type AuditRecord } from "@openhermit/protocol/access/v1/audit_record";
import type { Subject } from "@openhermit/protocol/access/v1/subject";
import { accessClients } from "../access/access-clients.ts";
import { parseActor } from "../access/subject-text.ts";
import { auditLine } from "../audit/audit-line.ts";
import { readAudit, tailAudit } from "../audit/audit-source.ts";
import type { Cli } from "../cli.ts";
import { outputOption, printValue } from "../output/print.ts";
import { parseCount, parseSinceOption } from "../output/tail-options.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit audit                                   the newest 100
  $ hermit audit --since 1d --action tokens.       what was done to tokens
  $ hermit audit --target agent:one --outcome denied
  $ hermit audit -f --actor service-account:ci -o jsonl

Actors: alice, service-account:ci, sidecar:one, local-operator, system,
anonymous; service-account:* means all of a kind.
`;

interface AuditOptions {
  follow?: boolean;
  actor?: Subject;
  target?: { targetType: string; targetId: string };
  action?: string;
  outcome?: "done" | "denied";
  since?: Date;
  tail?: number;
  output: "text" | "json" | "jsonl" | "yaml";
}

const DEFAULT_TAIL = 100;
const MAX_LAST = 1000;
const OUTCOMES = { done: AuditOutcome.DONE, denied: AuditOutcome.DENIED };

/** `hermit audit`: who did what, oldest first. */
export const declareAudit: DeclareVerb = (program, cli) => {
  program
    .command("audit")
    .description("see who did what, and who was refused")
    .addHelpText("before", EXAMPLES)
    .option("-f, --follow", "go on as records come")
    .addOption(new Option("--actor <who>", "only what this one did").argParser(parseActor))
    .option("--target <what>", "only what was done to this: one, agent:one, agent:*", parseTarget)
    .option("--action <action>", "only actions that begin so, like agents. or login")
    .addOption(new Option("--outcome <outcome>", "only what was done, or refused").choices(["done", "denied"]))
    .option("--since <when>", "like 10m, 2h, 7d, or a date and time", parseSinceOption)
    .option("--tail <n>", `how many (default ${DEFAULT_TAIL}; with --since all of that time)`, parseCount)
    .addOption(outputOption("text", "json", "jsonl", "yaml"))
    .action((options: AuditOptions) => printAudit(cli, options));
};

async function printAudit(cli: Cli, options: AuditOptions): Promise<void> {
  const { terminal } = cli;
  const { audit } = accessClients(await cli.gateway());
  const { actor, target, action, outcome, since, tail, output } = options;
  const filter = {
    ...(actor && { actor }),
    ...target,
    actionPrefix: action ?? "",
    ...(outcome && { outcome: OUTCOMES[outcome] }),
    ...(since && { startTime: timestampFromDate(since) }),
  };
  const print = async (record: AuditRecord): Promise<void> => {
    if (output === "text") terminal.line(auditLine(terminal, record));
    else if (output === "yaml") {
      terminal.line("---");
      await printValue(terminal, "yaml", toJson(AuditRecordSchema, record));
    } else terminal.line(JSON.stringify(toJson(AuditRecordSchema, record)));
  };

  if (options.follow !== true) {
    const records = await readAudit(audit, filter, tail ?? (since ? Infinity : DEFAULT_TAIL));
    if (output === "json" || output === "yaml") {
      await printValue(
        terminal,
        output,
        records.map((record) => toJson(AuditRecordSchema, record)),
      );
      return;
    }
    for (const record of records) await print(record);
    if (records.length === 0) terminal.say("No records match.");
    return;
  }

  const stop = new AbortController();
  const stopListening = cli.onInterrupt(() => stop.abort());
  try {
    const records = tailAudit(audit, {
      filter,
      last: Math.min(tail ?? (since ? MAX_LAST : DEFAULT_TAIL), MAX_LAST),
      signal: stop.signal,
      onBreak: () => terminal.say(terminal.paintWords("yellow", "the connection is lost; trying again ...")),
      onResume: () => terminal.say(terminal.paintWords("dim", "connected again; nothing was missed")),
    });
    for await (const record of records) await print(record);
  } finally {
    stopListening();
  }
}

function parseTarget(text: string): { targetType: string; targetId: string } {
  const colon = text.indexOf(":");
  if (colon < 0) return { targetType: "", targetId: text };
  const id = text.slice(colon + 1);
  return { targetType: text.slice(0, colon), targetId: id === "*" ? "" : id };
}
