import { InvalidArgumentError, Option, type Command } from "commander";
import { parseSpan } from "../output/time-text.ts";

/** What `--wait` and `--timeout` say. */
export interface WaitOptions {
  wait?: boolean;
  /** Milliseconds. */
  timeout: number;
}

const DEFAULT_MS = 60_000;

/** Adds `--wait` and `--timeout` to a command that changes what agents run with. */
export function addWaitOptions(command: Command): Command {
  return command
    .option("--wait", "wait until every running agent has applied it; 1 if not")
    .addOption(
      new Option("--timeout <span>", "how long to wait, like 90s or 5m")
        .argParser(parseTimeout)
        .default(DEFAULT_MS, "60s"),
    );
}

function parseTimeout(text: string): number {
  const milliseconds = parseSpan(text);
  // A timer of Node takes at most 2^31 - 1 milliseconds.
  if (milliseconds === undefined || milliseconds === 0 || milliseconds > 86_400_000) {
    throw new InvalidArgumentError("It must be like 90s, 5m or 1h, at most 1d.");
  }
  return milliseconds;
}
