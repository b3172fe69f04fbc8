import type { Argument, Command, Option } from "commander";
import { listAllAgents } from "../agent-view.ts";
import type { Cli } from "../cli.ts";
import { enumWord } from "../output/enum-word.ts";
import type { Candidate } from "./candidate.ts";

/** How long a Tab may wait for the gateway, in milliseconds. */
const PATIENCE_MS = 1500;
const FILES: Candidate = { value: ":files", description: "" };

/** What can stand in the place of the last of the words, in the order of the help. */
export async function candidatesOf(options: {
  program: Command;
  /** The commands of the program that a person may see. */
  commands: readonly Command[];
  cli: Cli;
  words: readonly string[];
}): Promise<Candidate[]> {
  const { program, cli } = options;
  // Bash hands `--agent=one` over as three words.
  const words = options.words.filter((word) => word !== "=");
  if (options.words.at(-1) === "=") words.push("");
  const typed = words.pop() ?? "";

  let command = program;
  const given: string[] = [];
  let pending: Option | undefined;
  let onlyArguments = false;
  for (const word of words) {
    if (pending) {
      pending = undefined;
    } else if (word === "--") {
      onlyArguments = true;
    } else if (word.startsWith("-") && !onlyArguments) {
      const option = optionsOf(program, command).find(({ short, long }) => word === short || word === long);
      if (option?.required === true) pending = option;
    } else {
      const next = given.length === 0 ? command.commands.find((child) => namesOf(child).includes(word)) : undefined;
      if (next) command = next;
      else given.push(word);
    }
  }

  const equals = /^(--[a-z-]+)=(.*)$/.exec(typed);
  if (equals && !onlyArguments) {
    const option = optionsOf(program, command).find(({ long }) => long === equals[1]);
    const values = option ? await valuesOf(cli, option, option.attributeName(), given) : [];
    return startingWith(values, equals[2] ?? "").map((found) => ({ ...found, value: `${equals[1]}=${found.value}` }));
  }
  if (pending) return startingWith(await valuesOf(cli, pending, pending.attributeName(), given), typed);
  if (typed.startsWith("-") && !onlyArguments) {
    const flags = optionsOf(program, command).map(({ long, description }) => ({ value: long ?? "", description }));
    return startingWith(flags, typed);
  }
  const children = command === program ? options.commands : command.commands;
  if (children.length > 0 && given.length === 0) {
    return startingWith(
      children.map((child) => ({ value: child.name(), description: child.description() })),
      typed,
    );
  }
  const { registeredArguments } = command;
  const last = registeredArguments.at(-1);
  const argument = registeredArguments[given.length] ?? (last?.variadic === true ? last : undefined);
  return argument ? startingWith(await valuesOf(cli, argument, argument.name(), given), typed) : [];
}

const namesOf = (command: Command): string[] => [command.name(), ...command.aliases()];

const optionsOf = (program: Command, command: Command): Option[] => [
  ...command.options,
  ...(command === program ? [] : program.options),
];

const startingWith = (candidates: readonly Candidate[], typed: string): Candidate[] =>
  candidates.filter((candidate) => candidate === FILES || candidate.value.startsWith(typed));

/** What an option or argument takes: its choices, or what its name says. */
async function valuesOf(
  cli: Cli,
  option: Option | Argument,
  name: string,
  given: readonly string[],
): Promise<readonly Candidate[]> {
  if (option.argChoices) return option.argChoices.map((value) => ({ value, description: "" }));
  switch (name) {
    case "agent": {
      if (!("flags" in option && option.flags.includes("*"))) return agents(cli);
      const { everyAgent } = await import("./catalog-candidates.ts");
      return [everyAgent, ...(await agents(cli))];
    }
    case "other-agent":
      return agents(cli);
    case "session":
      return sessions(cli);
    case "type": {
      const { eventTypes } = await import("../logs/event-line.ts");
      return [...eventTypes.keys()].map((value) => ({ value, description: "" }));
    }
    case "dir":
    case "file":
    case "home":
    case "out":
    case "skill-path":
      return [FILES];
    default: {
      const { catalogValues } = await import("./catalog-candidates.ts");
      const values = await catalogValues(cli, name, given, PATIENCE_MS);
      if (values) return values;
      const { accessValues } = await import("./access-candidates.ts");
      return accessValues(cli, name, PATIENCE_MS);
    }
  }
}

/** No candidates, rather than an error in the middle of a line, when the gateway is away. */
async function agents(cli: Cli): Promise<Candidate[]> {
  try {
    const { AgentState } = await import("@openhermit/protocol/fleet/v1/agent");
    const found = await listAllAgents(await cli.gateway(), AbortSignal.timeout(PATIENCE_MS));
    return found.map(({ id, displayName, status }) => ({
      value: id,
      description: [displayName, enumWord(AgentState, status?.state)].filter((part) => part !== "").join(", "),
    }));
  } catch {
    return [];
  }
}

async function sessions(cli: Cli): Promise<Candidate[]> {
  try {
    const gateway = await cli.gateway();
    const page = await gateway.sessions.listSessions({ pageSize: 50 }, { timeoutMs: PATIENCE_MS });
    return page.sessions.map(({ id, agentId, title }) => ({ value: id, description: `${agentId}: ${title}` }));
  } catch {
    return [];
  }
}
