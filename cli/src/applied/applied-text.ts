import { AgentState } from "@openhermit/protocol/fleet/v1/agent";
import type { AgentBehind, WatchAppliedResponse } from "@openhermit/protocol/fleet/v1/fleet_service";
import { enumWord } from "../output/enum-word.ts";
import { plainLine } from "../output/plain-text.ts";
import type { Terminal } from "../output/terminal.ts";
import { millisecondsText } from "../output/time-text.ts";

/** How many agents are named in the line of the progress. */
const NAMED = 8;
/** How many of those that are behind are listed at the end. */
const LISTED = 20;

/** How far it is: `12 of 17 applied, waiting for three, four`. */
export function progressText({ totalCount, appliedCount, behind, behindCount }: WatchAppliedResponse): string {
  const names = behind.slice(0, NAMED).map(({ agentId }) => agentId);
  const more = behindCount > names.length ? " …" : "";
  return `${appliedCount} of ${totalCount} applied, waiting for ${names.join(", ")}${more}`;
}

/** That all have applied it: `17 of 17 applied (0.4 s)`. */
export function appliedText({ totalCount, stoppedCount }: WatchAppliedResponse, ms: number): string {
  const stopped = stoppedText(stoppedCount);
  if (totalCount === 0) return stopped === "" ? "no agent runs that would apply it" : stopped;
  return `${totalCount} of ${totalCount} applied (${millisecondsText(ms)})${stopped === "" ? "" : `; ${stopped}`}`;
}

/** That some have not, who, and why. */
export function behindLines(terminal: Terminal, last: WatchAppliedResponse | undefined, ms: number): string[] {
  if (!last) return ["the gateway has not said how far the agents are"];
  const { totalCount, appliedCount, behind, behindCount, stoppedCount } = last;
  const stopped = stoppedText(stoppedCount);
  const listed = behind.slice(0, LISTED);
  const width = Math.max(0, ...listed.map(({ agentId }) => agentId.length));
  const color = appliedCount === 0 ? "red" : "yellow";
  const summary = `${appliedCount} of ${totalCount} applied after ${millisecondsText(ms)}; behind:`;
  return [
    terminal.paintWords(color, summary),
    ...listed.map((agent) => `  ${agent.agentId.padEnd(width)}  ${reasonText(agent)}`),
    ...(behindCount > listed.length ? [`  and ${behindCount - listed.length} more`] : []),
    ...(stopped === "" ? [] : [stopped]),
  ];
}

/** `rejected: <reason>`, or the state and why: `unreachable: no word from it for 12 s`. */
function reasonText({ state, rejectedReason, detail, appliedGeneration }: AgentBehind): string {
  if (rejectedReason !== "") return `rejected: ${plainLine(rejectedReason, 500)}`;
  const word = enumWord(AgentState, state);
  if (detail !== "") return `${word}: ${plainLine(detail, 500)}`;
  const silence = appliedGeneration === 0n ? "has not applied any configuration yet" : "has not applied it yet";
  return `${word}: ${silence}`;
}

const stoppedText = (count: number): string => {
  if (count === 0) return "";
  return count === 1
    ? "1 stopped agent applies it at its next start"
    : `${count} stopped agents apply it at their next start`;
};
