import { toJson } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { InvalidArgumentError } from "commander";
import { LoggedEventSchema, type LoggedEvent } from "@openhermit/protocol/activity/v1/activity_service";
import type { EventType } from "@openhermit/protocol/activity/v1/event";
import type { Cli } from "../cli.ts";
import { eventLine, eventText, eventTypes } from "../logs/event-line.ts";
import { readEvents, tailEvents } from "../logs/event-source.ts";
import { outputOption } from "../output/print.ts";
import { parseCount, parseSinceOption } from "../output/tail-options.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit logs -f                               all agents, as it happens
  $ hermit logs --agent one --since 1h           one agent, the last hour
  $ hermit logs '^(one|two)$' --type tool_use    agents by a regular expression
  $ hermit logs -i hello -o jsonl | jq .event    by text, for programs
`;

interface LogsOptions {
  follow?: boolean;
  agent?: string;
  user?: string;
  type?: EventType[];
  since?: Date;
  tail?: number;
  include?: RegExp;
  exclude?: RegExp;
  output: "text" | "raw" | "json" | "jsonl";
}

const DEFAULT_TAIL = 100;
const MAX_LAST = 1000;

/** `hermit logs [PATTERN]`: what the agents did, oldest first. */
export const declareLogs: DeclareVerb = (program, cli) => {
  program
    .command("logs")
    .argument("[pattern]", "only agents whose id matches this regular expression", parsePattern)
    .description("see what the agents do: messages, model calls, tools, failures")
    .addHelpText("before", EXAMPLES)
    .option("-f, --follow", "go on as events come, also of agents added later")
    .option("--agent <id>", "only this agent")
    .option("--type <types>", "only these kinds, separated by commas", parseTypes)
    .option("--user <id>", "only what happened on behalf of this user")
    .option("--since <when>", "like 10m, 2h, 7d, or a date and time", parseSinceOption)
    .option("--tail <n>", `how many stored events (default ${DEFAULT_TAIL}; with --since all of that time)`, parseCount)
    .option("-i, --include <regex>", "only events whose line matches", parsePattern)
    .option("-e, --exclude <regex>", "no events whose line matches", parsePattern)
    .addOption(outputOption("text", "raw", "json", "jsonl"))
    .action(async (pattern: RegExp | undefined, options: LogsOptions) => {
      await printLogs(cli, pattern, options);
    });
};

async function printLogs(cli: Cli, pattern: RegExp | undefined, options: LogsOptions): Promise<void> {
  const gateway = await cli.gateway();
  const { activity } = gateway;
  const { terminal } = cli;
  const filter = {
    agentId: options.agent ?? "",
    userId: options.user ?? "",
    types: options.type ?? [],
    ...(options.since && { startTime: timestampFromDate(options.since) }),
  };
  const keep = ({ event }: LoggedEvent): boolean => {
    if (!event || (pattern && !pattern.test(event.agentId))) return false;
    if (!options.include && !options.exclude) return true;
    const line = eventText(event);
    return (options.include?.test(line) ?? true) && !(options.exclude?.test(line) ?? false);
  };
  const print = (logged: LoggedEvent): void => {
    if (!logged.event) return;
    if (options.output === "text") terminal.line(eventLine(terminal, logged.event));
    else if (options.output === "raw") terminal.line(eventText(logged.event));
    else terminal.line(JSON.stringify(toJson(LoggedEventSchema, logged)));
  };

  if (options.follow !== true) {
    const count = options.tail ?? (options.since ? Infinity : DEFAULT_TAIL);
    const { events, cut } = await readEvents(activity, filter, keep, count);
    events.forEach(print);
    if (events.length === 0) {
      // An agent that is gone has its events still; one that never was is a typo.
      if (options.agent !== undefined) await gateway.fleet.getAgent({ agentId: options.agent });
      terminal.say("No events match.");
    }
    if (cut) terminal.say("Older events were not looked through; narrow it with --since, --agent or --type.");
    return;
  }

  const stop = new AbortController();
  const stopListening = cli.onInterrupt(() => stop.abort());
  try {
    const last = Math.min(options.tail ?? (options.since ? MAX_LAST : DEFAULT_TAIL), MAX_LAST);
    const events = tailEvents(activity, {
      filter,
      last,
      signal: stop.signal,
      onBreak: () => terminal.say(terminal.paintWords("yellow", "the connection is lost; trying again ...")),
      onResume: () => terminal.say(terminal.paintWords("dim", "connected again; nothing was missed")),
    });
    for await (const logged of events) if (keep(logged)) print(logged);
  } finally {
    stopListening();
  }
}

function parsePattern(text: string): RegExp {
  try {
    return new RegExp(text, "u");
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? `${error.message}.` : "It is no regular expression.");
  }
}

function parseTypes(text: string, before: EventType[] = []): EventType[] {
  const types = text.split(",").map((word) => {
    const type = eventTypes.get(word.trim().toLowerCase().replaceAll("-", "_"));
    if (type === undefined)
      throw new InvalidArgumentError(`"${word}" is none of ${[...eventTypes.keys()].join(", ")}.`);
    return type;
  });
  return [...before, ...types];
}
