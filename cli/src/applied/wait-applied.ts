import { setTimeout as sleep } from "node:timers/promises";
import type { WatchAppliedResponse } from "@openhermit/protocol/fleet/v1/fleet_service";
import type { Cli } from "../cli.ts";
import { CliError } from "../cli-error.ts";
import { ExitCode } from "../exit-code.ts";
import { NO_DEADLINE, type Gateway } from "../gateway-client.ts";
import { mayHeal } from "../logs/event-source.ts";
import { appliedText, behindLines, progressText } from "./applied-text.ts";
import { createProgressLine, type ProgressLine } from "./progress-line.ts";

/** What is waited for. */
export interface WaitAppliedOptions {
  /** The agents that are followed; empty: all in reach. */
  agentIds: readonly string[];
  /** How long it may take, in milliseconds. */
  timeoutMs: number;
  /** Say nothing as long as all goes well: only who is behind at the end. */
  quiet?: boolean;
}

const RETRY_MS = 500;
/** A rejection does not pass by itself, yet one of the snapshot before may still stand for a moment. */
const REJECTED_MS = 3000;
/** The most agents that a call may name; with more all in reach are followed. */
const MAX_NAMED = 10_000;

/**
 * Follows how agents take over the newest configuration, on stderr: a line that is rewritten in place on a terminal, else
 * one at most every second. True when all have; false when the time is over or those that are behind have rejected it, and
 * then who and why has been said. Goes on after a connection that broke. Throws CliError with 130 when a person ends the
 * wait, and what the gateway refuses.
 */
export async function waitApplied(cli: Cli, gateway: Gateway, options: WaitAppliedOptions): Promise<boolean> {
  const { terminal } = cli;
  const began = performance.now();
  const end = new AbortController();
  let interrupted = false;
  const stopListening = cli.onInterrupt(() => {
    interrupted = true;
    end.abort();
  });
  const timer = setTimeout(() => end.abort(), options.timeoutMs);
  const line = createProgressLine(terminal);
  try {
    const last = await follow(gateway, options, end, line);
    line.clear();
    if (interrupted) throw interruption(last);
    if (last !== undefined && last.behindCount === 0) {
      if (options.quiet !== true) terminal.say(appliedText(last, performance.now() - began));
      return true;
    }
    for (const words of behindLines(terminal, last, performance.now() - began)) terminal.say(words);
    return false;
  } finally {
    line.clear();
    clearTimeout(timer);
    stopListening();
  }
}

/** Follows until none is behind, all that are have rejected it, or the signal. Returns the last that was heard. */
async function follow(
  gateway: Gateway,
  { agentIds, quiet }: WaitAppliedOptions,
  end: AbortController,
  line: ProgressLine,
): Promise<WatchAppliedResponse | undefined> {
  const { signal } = end;
  const request = { agentIds: agentIds.length > MAX_NAMED ? [] : [...agentIds] };
  let last: WatchAppliedResponse | undefined;
  let rejection: NodeJS.Timeout | undefined;
  try {
    while (!signal.aborted) {
      try {
        for await (const message of gateway.fleet.watchApplied(request, { ...NO_DEADLINE, signal })) {
          last = message;
          if (message.behindCount === 0) return message;
          if (quiet !== true) line.show(progressText(message));
          const rejected = message.behind.filter((agent) => agent.rejectedReason !== "").length;
          if (rejected === message.behindCount) {
            rejection ??= setTimeout(() => end.abort(), REJECTED_MS);
          } else {
            clearTimeout(rejection);
            rejection = undefined;
          }
        }
      } catch (error) {
        if (signal.aborted) return last;
        if (!mayHeal(error)) throw error;
        if (quiet !== true) line.show("the connection is lost; trying again");
      }
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
    return last;
  } finally {
    clearTimeout(rejection);
  }
}

function interruption(last: WatchAppliedResponse | undefined): CliError {
  const far = last ? `${last.appliedCount} of ${last.totalCount} applied; ` : "";
  return new CliError("the wait was ended", {
    why: `${far}the change is stored, and the agents go on applying it by themselves`,
    next: "bin/hermit agents list",
    exitCode: ExitCode.interrupted,
  });
}
