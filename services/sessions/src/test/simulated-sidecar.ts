import { create } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { LedgerTurnSchema, type RunTurn } from "@openhermit/protocol/mesh/v1/link_service";
import { EphemeralSchema, TurnChangeSchema, type TurnChange } from "@openhermit/protocol/mesh/v1/outbox";
import {
  AssistantMessageSchema,
  TextDeltaSchema,
  ToolCallSchema,
  ToolResultSchema,
  TranscriptEntrySchema,
  TurnState,
  UsageSchema,
  UserMessageSchema,
  type TranscriptEntry,
} from "@openhermit/protocol/sessions/v1/session";
import { waitFor } from "@openhermit/testing";
import type { LinkedSidecar, TestGateway } from "./test-gateway.ts";

type Entry = TranscriptEntry["entry"];

/** A sidecar in the test's own hands: it does nothing by itself. */
export interface SimulatedSidecar extends LinkedSidecar {
  /** Attaches, with these turns in the ledger. Returns what it was told. */
  attach(gateway: TestGateway, ledger?: { turnId: string; attempt: number }[]): Promise<{ deadTurnIds: string[] }>;
  detach(): void;
  /** Waits for the offer with that index, from 0. */
  offer(index: number): Promise<RunTurn>;
  accept(turn: RunTurn): void;
  /** Commits what the turn says, as one flush. */
  publish(...said: (TurnChange | TranscriptEntry)[]): Promise<void>;
  show(turn: RunTurn, step: number, text: string): void;
  showToolCall(turn: RunTurn, callId: string): void;
}

/** The entries and changes of one turn, with positions in order. */
export interface Script {
  running(toolStarted?: boolean): TurnChange;
  user(): TranscriptEntry;
  step(step: number, text: string, toolCallIds?: string[]): TranscriptEntry;
  toolResult(callId: string, text: string): TranscriptEntry;
  end(state: TurnState, answer?: string): TurnChange;
}

/** Creates a sidecar that hosts the agents; it is not attached. */
export function simulatedSidecar(agentIds: readonly string[]): SimulatedSidecar {
  let gateway: TestGateway | undefined;
  const sidecar: SimulatedSidecar = {
    agentIds,
    offers: [],
    cancels: [],
    deaf: false,
    async attach(to, ledger = []) {
      sidecar.detach();
      gateway = to;
      const turns = ledger.map((turn) => create(LedgerTurnSchema, turn));
      const told = await to.service.reconcileTurns({ sidecarId: "sidecar", agentIds }, turns);
      to.link(sidecar);
      to.service.linkReady(agentIds);
      return told;
    },
    detach() {
      gateway?.unlink(sidecar);
      gateway = undefined;
    },
    offer: (index) =>
      waitFor(() => sidecar.offers[index], { what: `offer ${index} of ${sidecar.offers.length}`, deadlineMs: 5000 }),
    accept: ({ turnId, attempt }) => gateway?.service.turnAccepted(turnId, attempt),
    async publish(...said) {
      if (gateway === undefined) throw new Error("not attached");
      const isEntry = (one: TurnChange | TranscriptEntry): one is TranscriptEntry =>
        one.$typeName === "openhermit.sessions.v1.TranscriptEntry";
      await gateway.flush({
        entries: said.filter(isEntry),
        turnChanges: said.filter((one): one is TurnChange => !isEntry(one)),
      });
    },
    show({ turnId, attempt }, step, text) {
      const value = create(TextDeltaSchema, { step, text });
      const item = create(EphemeralSchema, { turnId, attempt, body: { case: "textDelta", value } });
      gateway?.service.ephemeral([item], "sidecar");
    },
    showToolCall({ turnId, attempt }, callId) {
      const value = create(ToolCallSchema, { callId, name: "echo", argumentsJson: "{}" });
      const item = create(EphemeralSchema, { turnId, attempt, body: { case: "toolCall", value } });
      gateway?.service.ephemeral([item], "sidecar");
    },
  };
  return sidecar;
}

/** What a turn says, from the session's head on. */
export function scriptOf({ turnId, sessionId, attempt, message, transcriptHead }: RunTurn): Script {
  let position = transcriptHead;
  const entry = (value: Entry): TranscriptEntry => {
    position += 1n;
    return create(TranscriptEntrySchema, { sessionId, turnId, position, time: timestampNow(), entry: value });
  };
  const usage = create(UsageSchema, { inputTokens: 3n, outputTokens: 2n, modelCalls: 1 });
  const time = timestampNow();
  return {
    running: (toolStarted = false) =>
      create(TurnChangeSchema, { turnId, attempt, state: TurnState.RUNNING, toolStarted, usage, time }),
    user: () => entry({ case: "userMessage", value: create(UserMessageSchema, { text: message }) }),
    step: (step, text, toolCallIds = []) =>
      entry({
        case: "assistantMessage",
        value: create(AssistantMessageSchema, {
          step,
          text,
          toolCalls: toolCallIds.map((callId) => ({ callId, name: "echo", argumentsJson: "{}" })),
        }),
      }),
    toolResult: (callId, text) =>
      entry({ case: "toolResult", value: create(ToolResultSchema, { callId, name: "echo", text }) }),
    end: (state, answer = "") => create(TurnChangeSchema, { turnId, attempt, state, answer, usage, time }),
  };
}
