import { create } from "@bufbuild/protobuf";
import { ModelCallSchema, ToolUseSchema } from "@openhermit/protocol/activity/v1/event";
import {
  AssistantMessageSchema,
  TextDeltaSchema,
  ToolResultSchema,
  TurnErrorSchema,
  TurnState,
  UsageSchema,
} from "@openhermit/protocol/sessions/v1/session";

import type { AgentRuntime } from "../runtime/agent-runtime.ts";
import type { TurnJournal, TurnOutcome } from "../runtime/turn-journal.ts";

/** A runtime that does what the message says, one thing a line: some text, `tool`, `hang`, `deaf`, `steps N`, `delta X`, `throw`, `big N`. */
export interface ScriptedRuntime extends AgentRuntime {
  /** The turns that ran, `turn/attempt`, in order, with what they were given. */
  readonly ran: { turnId: string; attempt: number; history: TurnJournal["history"]; journal: TurnJournal }[];
  readonly generations: bigint[];
  closed: boolean;
  /** Lets all turns that hang go on. */
  release(): void;
}

/** Makes a scripted runtime. A snapshot whose model is `bad/model` is rejected. */
export function createScriptedRuntime(): ScriptedRuntime {
  const ran: ScriptedRuntime["ran"] = [];
  const generations: bigint[] = [];
  const hanging = new Set<() => void>();

  const hang = (signal: AbortSignal | undefined): Promise<void> =>
    new Promise((resolve) => {
      hanging.add(resolve);
      if (signal?.aborted === true) resolve();
      signal?.addEventListener("abort", () => resolve(), { once: true });
    });

  const runLine = async (line: string, step: number, journal: TurnJournal, signal: AbortSignal): Promise<string> => {
    const [word, ...rest] = line.split(" ");
    const argument = rest.join(" ");
    const write = (text: string, toolsStart: boolean): void =>
      journal.step({
        message: create(AssistantMessageSchema, { step, text }),
        call: create(ModelCallSchema, { step, model: "scripted", usage: create(UsageSchema, { modelCalls: 1 }) }),
        toolsStart,
      });
    switch (word) {
      case "delta":
        for (const text of argument) {
          journal.show({ case: "textDelta", value: create(TextDeltaSchema, { step, text }) });
        }
        return "";
      case "steps":
        for (let index = 0; index < Number(argument); index++) {
          write(`step ${index}`, false);
          if (index % 10 === 9) await new Promise((resolve) => setImmediate(resolve));
        }
        return "";
      case "tool":
        write("", true);
        await Promise.resolve();
        journal.toolResult(
          create(ToolResultSchema, { callId: "1", name: "t", text: "done" }),
          create(ToolUseSchema, { callId: "1", name: "t" }),
        );
        return "";
      case "toolhang":
        write("", true);
        await hang(signal);
        return "";
      case "hang":
        await hang(signal);
        return "";
      case "deaf":
        await hang(undefined);
        return "";
      case "throw":
        throw new Error("scripted failure");
      case "big":
        write("x".repeat(Number(argument)), false);
        return "big";
      default:
        write(line, false);
        return line;
    }
  };

  return {
    ran,
    generations,
    closed: false,
    async apply(snapshot) {
      await Promise.resolve();
      if (snapshot.spec?.model === "bad/model") throw new Error("no such model");
      generations.push(snapshot.generation);
    },
    async runTurn(turn, journal, signal): Promise<TurnOutcome> {
      ran.push({ turnId: turn.turnId, attempt: turn.attempt, history: journal.history, journal });
      const usage = create(UsageSchema, { modelCalls: 1 });
      let answer = "";
      let step = 0;
      for (const line of turn.message.split("\n")) {
        step += 1;
        try {
          answer = (await runLine(line, step, journal, signal)) || answer;
        } catch (error) {
          if (line === "throw") throw error;
          const failure = create(TurnErrorSchema, { reason: "SCRIPTED", message: String(error) });
          return { state: TurnState.FAILED, answer: "", usage, error: failure };
        }
        if (signal.aborted) return { state: TurnState.CANCELLED, answer, usage };
      }
      return { state: TurnState.SUCCEEDED, answer, usage };
    },
    health: () => [],
    async close() {
      this.closed = true;
    },
    release() {
      for (const resolve of hanging) resolve();
      hanging.clear();
    },
  };
}
