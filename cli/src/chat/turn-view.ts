import {
  TurnState,
  type ToolCall,
  type ToolResult,
  type Turn,
  type TurnEvent,
} from "@openhermit/protocol/sessions/v1/session";
import { durationText } from "../output/time-text.ts";
import { plainLine, plainText } from "../output/plain-text.ts";

/** What a view shows: the agent's text as data, everything else as a line for a person. */
export interface ViewTarget {
  /** More of the answer. */
  text(text: string): void;
  /** A line about the work: a tool call, its result. */
  work(line: string): void;
  /** A line about the surroundings: the connection, a cancellation. */
  note(line: string): void;
  /** Whether text and lines go to the same terminal, where a line must not begin in the middle of another. */
  sharesTerminal: boolean;
}

/**
 * Shows a turn from its events, also when a resumed stream repeats some of them: text that is shown is not shown
 * again, and a call or a result stands once.
 */
export interface TurnView {
  show(event: TurnEvent): void;
  /** A line between the agent's words: of the connection, of a cancellation. */
  note(line: string): void;
  /** The turn as of its last event. */
  readonly turn: Turn | undefined;
}

/** A view of one turn. All text of agents and tools is stripped of control characters. */
export function createTurnView(target: ViewTarget): TurnView {
  const shownText = new Map<number, string>();
  const complete = new Set<number>();
  const calls = new Map<string, ToolCall>();
  const results = new Set<string>();
  let midLine = false;
  let turn: Turn | undefined;

  function write(text: string): void {
    const plain = plainText(text);
    if (plain === "") return;
    target.text(plain);
    midLine = !plain.endsWith("\n");
  }

  function endLine(): void {
    if (midLine) target.text("\n");
    midLine = false;
  }

  function work(line: string): void {
    endLine();
    target.work(line);
  }

  function note(line: string): void {
    if (target.sharesTerminal) endLine();
    target.note(line);
  }

  /** Shows what is new of a step's whole text; when it differs from what was shown, all of it on a new line. */
  function showWhole(step: number, text: string): void {
    const before = shownText.get(step) ?? "";
    shownText.set(step, text);
    if (text.startsWith(before)) {
      write(text.slice(before.length));
    } else {
      endLine();
      write(text);
    }
  }

  function showCall(call: ToolCall): void {
    if (calls.has(call.callId)) return;
    calls.set(call.callId, call);
    work(`→ ${plainLine(call.name, 100)} ${plainLine(call.argumentsJson, 160)}`.trimEnd());
  }

  function showResult(result: ToolResult): void {
    if (results.has(result.callId)) return;
    results.add(result.callId);
    const mark = result.isError ? "✗" : "✓";
    work(`${mark} ${plainLine(result.name, 100)} ${durationText(result.duration)}: ${plainLine(result.text, 160)}`);
  }

  return {
    show: ({ event }) => {
      switch (event.case) {
        case "turn":
          if (event.value.state !== turn?.state && event.value.attempt > 1) {
            if (event.value.state === TurnState.QUEUED)
              note("the agent's sidecar was lost; the turn waits for its next start");
          }
          turn = event.value;
          if (turn.state >= TurnState.SUCCEEDED) endLine();
          break;
        case "textDelta": {
          const { step, text } = event.value;
          if (complete.has(step)) break;
          shownText.set(step, (shownText.get(step) ?? "") + text);
          write(text);
          break;
        }
        case "textSnapshot":
          if (!complete.has(event.value.step)) showWhole(event.value.step, event.value.text);
          break;
        case "assistantMessage":
          if (!complete.has(event.value.step)) showWhole(event.value.step, event.value.text);
          complete.add(event.value.step);
          event.value.toolCalls.forEach(showCall);
          break;
        case "toolCall":
          showCall(event.value);
          break;
        case "toolResult":
          showResult(event.value);
          break;
        case "reasoningDelta":
        case undefined:
          break;
      }
    },
    note,
    get turn() {
      return turn;
    },
  };
}
