import { InvalidArgumentError } from "commander";
import { parseSince } from "./time-text.ts";

/** The value of --since. */
export function parseSinceOption(text: string): Date {
  const since = parseSince(text);
  if (!since) throw new InvalidArgumentError("It must be like 10m, 2h, 7d, or 2026-01-31T17:00.");
  return since;
}

/** The value of --tail. */
export function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 0 || count > 100_000)
    throw new InvalidArgumentError("It must be 0 to 100000.");
  return count;
}
