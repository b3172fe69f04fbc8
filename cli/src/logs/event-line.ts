import { EventType, type Event } from "@openhermit/protocol/activity/v1/event";
import { TurnState, type Usage } from "@openhermit/protocol/sessions/v1/session";
import { enumWord } from "../output/enum-word.ts";
import { plainLine } from "../output/plain-text.ts";
import type { Terminal } from "../output/terminal.ts";
import { clockText, durationText } from "../output/time-text.ts";

const COLORS = ["cyan", "green", "magenta", "blue", "yellow", "cyanBright", "greenBright", "magentaBright"] as const;

/** The kinds of event by the word that `--type` takes: `message_in`, `tool_use` and so on. */
export const eventTypes: ReadonlyMap<string, EventType> = new Map(
  Object.entries(EventType).flatMap(([name, type]) =>
    type === EventType.UNSPECIFIED ? [] : [[name.toLowerCase(), type]],
  ),
);

/** The word for an event's kind; `unknown` for one that this client does not know. */
export function typeWord(event: Event): string {
  const name = event.detail.case;
  return name === undefined ? "unknown" : name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** One event as one line: time, agent, kind, what happened. */
export function eventLine(terminal: Terminal, event: Event): string {
  const agent = event.agentId === "" ? "-" : plainLine(event.agentId, 63);
  const failed = event.detail.case === "failure";
  const kind = typeWord(event).padEnd(14);
  return [
    terminal.paint("dim", clockText(event.time)),
    terminal.paint(colorOf(agent), agent.padEnd(10)),
    failed ? terminal.paint("red", kind) : kind,
    eventText(event),
  ].join(" ");
}

/** What happened, in one line of plain text. */
export function eventText({ detail, channel, userId }: Event): string {
  switch (detail.case) {
    case "messageIn": {
      const from = [channel, userId].filter((part) => part !== "").map((part) => plainLine(part, 80));
      return `${from.length > 0 ? `${from.join("/")}: ` : ""}${plainLine(detail.value.text)}`;
    }
    case "messageOut":
      return plainLine(detail.value.text);
    case "modelCall": {
      const { provider, model, step, usage, duration, finishReason, error } = detail.value;
      const end = error === "" ? finishReason : `error: ${error}`;
      return plainLine(`${provider}/${model} step ${step}, ${usageText(usage)}, ${durationText(duration)}, ${end}`);
    }
    case "toolUse": {
      const { name, argumentsJson, result, isError, duration } = detail.value;
      return plainLine(`${name} ${argumentsJson} ${isError ? "failed" : "→"} ${result} (${durationText(duration)})`);
    }
    case "failure":
      return plainLine(`${detail.value.source}: ${detail.value.reason} ${detail.value.message}`);
    case "turnEnd": {
      const state = enumWord(TurnState, detail.value.state);
      return `${state} after ${durationText(detail.value.duration)}, ${usageText(detail.value.usage)}`;
    }
    case "healthChange":
      return plainLine(`${detail.value.component} ${detail.value.state} ${detail.value.detail}`);
    case "configChange": {
      const { generation, rejectedReason } = detail.value;
      return plainLine(
        rejectedReason === ""
          ? `generation ${generation} applied`
          : `generation ${generation} rejected: ${rejectedReason}`,
      );
    }
    case "sidecarChange":
      return plainLine(`${detail.value.change} ${detail.value.detail}`);
    case undefined:
    default:
      return "an event that this version of hermit does not know";
  }
}

function usageText(usage: Usage | undefined): string {
  if (!usage) return "0 tokens";
  return `${usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens} in ${usage.outputTokens} out`;
}

/** The same agent always has the same colour. */
function colorOf(agentId: string): (typeof COLORS)[number] {
  let hash = 0;
  for (const letter of agentId) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) % 9973;
  return COLORS[hash % COLORS.length] ?? "cyan";
}
