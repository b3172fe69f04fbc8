import { create } from "@bufbuild/protobuf";
import { ToolUseSchema } from "@openhermit/protocol/activity/v1/event";
import { ToolResultSchema, type ToolCall, type ToolResult } from "@openhermit/protocol/sessions/v1/session";
import { formatTraceparent, GEN_AI, type Log, type Telemetry, type TraceContext } from "@openhermit/telemetry";
import { elapsedDuration } from "../elapsed-duration.ts";
import { parseArguments } from "../model/prompt.ts";
import { boundToolText } from "../tools/tool-text.ts";
import type { ToolAnswer, Toolset } from "../tools/tool.ts";
import type { TurnJournal } from "../runtime/turn-journal.ts";

/** How many tools of one step run at the same time. */
const MAX_PARALLEL = 8;
/** How much of arguments and answers an event carries. */
const EVENT_BYTES = 4096;

/** The tools of one step. */
export interface RunToolsOptions {
  turnId: string;
  calls: readonly ToolCall[];
  toolset: Toolset;
  journal: TurnJournal;
  telemetry: Telemetry;
  log: Log;
  parent: TraceContext;
  signal: AbortSignal;
}

/** Whether a tool would really be called: the tool is known and its arguments are a JSON object. */
export function isCallable(call: ToolCall, toolset: Toolset): boolean {
  return toolset.find(call.name) !== undefined && parseArguments(call.argumentsJson) !== undefined;
}

/**
 * Runs the calls side by side and journals each answer as it comes. What goes wrong is an answer that the model sees,
 * also what an abort leaves unknown. Rejects only when the journal can't be written; nothing runs any more then.
 */
export async function runTools(options: RunToolsOptions): Promise<Map<string, ToolResult>> {
  const results = new Map<string, ToolResult>();
  const waiting = options.calls.values();
  let broken = false;
  const work = async (): Promise<void> => {
    for (const call of waiting) {
      if (broken) return;
      try {
        results.set(call.callId, await runTool(call, options));
      } catch (error) {
        broken = true;
        throw error;
      }
    }
  };
  const workers = Array.from({ length: Math.min(MAX_PARALLEL, options.calls.length) }, work);
  const ended = await Promise.allSettled(workers);
  const rejected = ended.find((one) => one.status === "rejected");
  if (rejected !== undefined) throw rejected.reason as Error;
  return results;
}

async function runTool(call: ToolCall, options: RunToolsOptions): Promise<ToolResult> {
  const { journal } = options;
  const began = performance.now();
  if (!options.signal.aborted) journal.show({ case: "toolCall", value: call });
  const answer = await answerOf(call, options);
  const duration = elapsedDuration(performance.now() - began);
  const { callId, name } = call;
  const result = create(ToolResultSchema, {
    callId,
    name,
    text: boundToolText(answer.text),
    isError: answer.isError,
    duration,
  });
  const use = create(ToolUseSchema, {
    name,
    callId,
    argumentsJson: boundToolText(call.argumentsJson, EVENT_BYTES),
    result: boundToolText(answer.text, EVENT_BYTES),
    isError: answer.isError,
    duration,
  });
  journal.toolResult(result, use);
  return result;
}

async function answerOf(call: ToolCall, options: RunToolsOptions): Promise<ToolAnswer> {
  const { toolset, telemetry, parent, signal, log } = options;
  if (signal.aborted) return failed("The turn was stopped before this tool was called.");
  const tool = toolset.find(call.name);
  if (tool === undefined) return failed(unknownTool(call.name, toolset));
  const input = parseArguments(call.argumentsJson);
  if (input === undefined) {
    return failed("The arguments are not a JSON object. Call the tool again with arguments that match its schema.");
  }
  const attributes = {
    [GEN_AI.operationName]: "execute_tool",
    [GEN_AI.toolName]: call.name,
    [GEN_AI.toolCallId]: call.callId,
  };
  try {
    return await telemetry.span(`execute_tool ${call.name}`, { parent, attributes }, async (span) => {
      const answer = await tool.call(input, {
        idempotencyKey: `${options.turnId}/${call.callId}`,
        traceparent: formatTraceparent(span),
        signal,
      });
      if (answer.isError) span.recordError(new Error(answer.text.slice(0, 500)));
      return answer;
    });
  } catch (error) {
    if (signal.aborted) return failed("The turn was stopped while the tool ran. Its outcome is unknown.");
    log.error({ error, tool: call.name }, "tool failed unexpectedly");
    return failed("The tool failed inside the sidecar. Its outcome is unknown.");
  }
}

function failed(text: string): ToolAnswer {
  return { text, isError: true };
}

function unknownTool(name: string, { definitions }: Toolset): string {
  const names = definitions.map((tool) => tool.name);
  const known = names.length === 0 ? "There are no tools." : `The tools are: ${names.slice(0, 100).join(", ")}.`;
  return `There is no tool "${name.slice(0, 100)}". ${known}`;
}
