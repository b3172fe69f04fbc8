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
  let held: { step: number; text: string }[] = [];
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

  /**
   * Whether a step's text has to wait. Text comes as it is said and results once they are stored, so the first words of
   * a step may come before the results that they are about.
   */
  function isEarly(step: number): boolean {
    return step > 1 && (!complete.has(step - 1) || calls.size > results.size);
  }

  function showDelta(step: number, text: string): void {
    if (complete.has(step)) return;
    shownText.set(step, (shownText.get(step) ?? "") + text);
    write(text);
  }

  /** Shows the held text whose time has come; with `all` the rest of it. */
  function release(all = false): void {
    while (held[0] && (all || !isEarly(held[0].step))) {
      const { step, text } = held[0];
      held.shift();
      showDelta(step, text);
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
          if (turn.state < TurnState.SUCCEEDED) break;
          release(true);
          endLine();
          break;
        case "textDelta": {
          const { step, text } = event.value;
          if (held.length > 0 || isEarly(step)) held.push({ step, text });
          else showDelta(step, text);
          break;
        }
        case "textSnapshot": {
          const { step, text } = event.value;
          held = held.filter((delta) => delta.step !== step);
          if (!complete.has(step)) showWhole(step, text);
          break;
        }
        case "assistantMessage": {
          const { step, text, toolCalls } = event.value;
          held = held.filter((delta) => delta.step !== step);
          if (!complete.has(step)) showWhole(step, text);
          complete.add(step);
          toolCalls.forEach(showCall);
          release();
          break;
        }
        case "toolCall":
          showCall(event.value);
          break;
        case "toolResult":
          showResult(event.value);
          release();
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
