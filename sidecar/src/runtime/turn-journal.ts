import type { ModelCall, ToolUse } from "@openhermit/protocol/activity/v1/event";
import type {
  AssistantMessage,
  ReasoningDelta,
  TextDelta,
  ToolCall,
  ToolResult,
  TranscriptEntry,
  TurnError,
  TurnState,
  Usage,
} from "@openhermit/protocol/sessions/v1/session";

/** One complete step of a turn: what the model said, and the call it took. */
export interface TurnStep {
  message: AssistantMessage;
  call: ModelCall;
  /** True when tools of this step are about to run and may have effects. */
  toolsStart: boolean;
}

/** What is shown at once and never stored. */
export type Shown =
  | { case: "textDelta"; value: TextDelta }
  | { case: "reasoningDelta"; value: ReasoningDelta }
  | { case: "toolCall"; value: ToolCall };

/**
 * Where a turn writes what happens. The durable writes are synchronous: when they return, the record
 * survives a crash of the process. They throw when it can't be written; the turn then fails.
 */
export interface TurnJournal {
  /** Oldest first; ends with this turn's user message, or with steps of an earlier attempt of the same turn. */
  readonly history: readonly TranscriptEntry[];
  /** Durable, in one ledger transaction, before any tool of the step runs. */
  step(step: TurnStep): void;
  /** Durable: a model call that failed. */
  failedCall(call: ModelCall): void;
  /** Durable: what a tool answered. */
  toolResult(result: ToolResult, use: ToolUse): void;
  /** Shown at once, may be dropped. */
  show(item: Shown): void;
}

/** How a turn ended. */
export interface TurnOutcome {
  state: typeof TurnState.SUCCEEDED | typeof TurnState.FAILED | typeof TurnState.CANCELLED;
  /** The text of the last step. Empty when there was none. */
  answer: string;
  /** The sum over all model calls of this attempt. */
  usage: Usage;
  /** Why it ended, for an end without success. */
  error?: TurnError;
}
