import { create } from "@bufbuild/protobuf";
import type { ModelCall, ToolUse } from "@openhermit/protocol/activity/v1/event";
import {
  TranscriptEntrySchema,
  UserMessageSchema,
  type TranscriptEntry,
} from "@openhermit/protocol/sessions/v1/session";
import type { Shown, TurnJournal, TurnStep } from "../turn-journal.ts";

/** A journal in memory that behaves as the ledger's: what is written becomes part of the next turn's history. */
export interface MemoryJournal extends TurnJournal {
  readonly history: TranscriptEntry[];
  readonly steps: TurnStep[];
  readonly failedCalls: ModelCall[];
  readonly uses: ToolUse[];
  readonly shown: Shown[];
  /** What happened, in order: `step`, `failed`, `result`, `text`, `reasoning`, `call`. */
  readonly order: string[];
  /** All text shown so far. */
  text(): string;
}

/** Makes a journal whose history ends with the message. */
export function memoryJournal(turnId: string, message: string, before: readonly TranscriptEntry[] = []): MemoryJournal {
  const add = (entry: TranscriptEntry["entry"]): void => {
    history.push(create(TranscriptEntrySchema, { turnId, position: BigInt(history.length + 1), entry }));
  };
  const history = [...before];
  add({ case: "userMessage", value: create(UserMessageSchema, { text: message }) });
  const steps: TurnStep[] = [];
  const failedCalls: ModelCall[] = [];
  const uses: ToolUse[] = [];
  const shown: Shown[] = [];
  const order: string[] = [];
  return {
    history,
    steps,
    failedCalls,
    uses,
    shown,
    order,
    step(step) {
      order.push("step");
      steps.push(step);
      add({ case: "assistantMessage", value: step.message });
    },
    failedCall(call) {
      order.push("failed");
      failedCalls.push(call);
    },
    toolResult(result, use) {
      order.push("result");
      uses.push(use);
      add({ case: "toolResult", value: result });
    },
    show(item) {
      order.push({ textDelta: "text", reasoningDelta: "reasoning", toolCall: "call" }[item.case]);
      shown.push(item);
    },
    text: () => shown.map((item) => (item.case === "textDelta" ? item.value.text : "")).join(""),
  };
}
