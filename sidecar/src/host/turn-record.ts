import { create } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { failedPrecondition } from "@openhermit/errors";
import { MessageInSchema, type Event } from "@openhermit/protocol/activity/v1/event";
import type { RunTurn } from "@openhermit/protocol/mesh/v1/link_service";
import { TurnChangeSchema } from "@openhermit/protocol/mesh/v1/outbox";
import {
  TranscriptEntrySchema,
  TurnState,
  UsageSchema,
  UserMessageSchema,
  type TranscriptEntry,
} from "@openhermit/protocol/sessions/v1/session";

import type { Ledger } from "../ledger/ledger-store.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { TurnJournal } from "../runtime/turn-journal.ts";
import { writeTurnEnd, type TurnEnding } from "./turn-end.ts";
import { turnEvent } from "./turn-event.ts";

/** All that is written down of one turn. */
export interface TurnRecord {
  /** The attempt it runs as; a newer offer of the same turn raises it. */
  readonly attempt: number;
  /** Whether a tool of it may have had an effect. */
  readonly toolStarted: boolean;
  /** The turn is in the ledger: it will run. */
  accept(): void;
  /** The turn runs: its message, its state. Returns where its steps are to be written. */
  begin(): TurnJournal;
  /** The turn has ended. Does nothing once it is closed. */
  end(outcome: Omit<TurnEnding, "toolStarted" | "durationMs">): void;
  /** The gateway has offered the running turn as a newer attempt: it goes on as that one. */
  adopt(attempt: number): void;
  /** The turn belongs to somebody else now: whatever is still written is refused with TURN_CLOSED. */
  close(): void;
  /** Whether it was closed. */
  readonly closed: boolean;
}

/** What a record needs. */
export interface TurnRecordOptions {
  ledger: Ledger;
  outbox: Outbox;
  request: RunTurn;
}

type Entry = TranscriptEntry["entry"];

/** Makes the record of a turn; nothing is written yet. Each call is one transaction of the ledger; it throws what that throws. */
export function createTurnRecord(options: TurnRecordOptions): TurnRecord {
  const { ledger, outbox: shown } = options;
  const { outbox, transcripts, turns } = ledger;
  const request: RunTurn = { ...options.request };
  const { turnId, sessionId } = request;
  const usage = create(UsageSchema);
  let toolStarted = false;
  let closed = false;
  let position = 0n;
  let startedAt = performance.now();

  const write = (work: () => void): void => {
    if (closed) {
      throw failedPrecondition("TURN_CLOSED", `turn ${turnId} belongs to another attempt or has ended`, {
        fields: { turn_id: turnId },
      });
    }
    const before = position;
    try {
      ledger.transaction(() => {
        // The ledger may try a second time, after it has made room.
        position = before;
        work();
      });
    } catch (error) {
      position = before;
      throw error;
    }
  };
  const say = (entry: Entry): TranscriptEntry => {
    position += 1n;
    const value = create(TranscriptEntrySchema, { sessionId, turnId, position, time: timestampNow(), entry });
    transcripts.add(value, outbox.append({ case: "transcriptEntry", value }, turnId));
    return value;
  };
  // Events of work that was done stay true whoever owns the turn, so they are not bound to it.
  const happened = (detail: Event["detail"], owner?: string): void => {
    outbox.append({ case: "event", value: turnEvent(request, detail) }, owner);
  };
  const running = (started: boolean): void => {
    const value = create(TurnChangeSchema, {
      turnId,
      attempt: request.attempt,
      state: TurnState.RUNNING,
      toolStarted: started,
      usage: create(UsageSchema, usage),
      time: timestampNow(),
    });
    outbox.append({ case: "turnChange", value }, turnId);
  };

  const sayMessage = (): TranscriptEntry => {
    const entry = say({ case: "userMessage", value: create(UserMessageSchema, { text: request.message }) });
    happened({ case: "messageIn", value: create(MessageInSchema, { text: request.message }) }, turnId);
    return entry;
  };

  const journalOf = (history: readonly TranscriptEntry[]): TurnJournal => ({
    history,
    step({ message, call, toolsStart }) {
      addUsage(usage, call.usage);
      write(() => {
        say({ case: "assistantMessage", value: message });
        happened({ case: "modelCall", value: call });
        if (!toolsStart || toolStarted) return;
        turns.setToolStarted(turnId);
        running(true);
      });
      toolStarted ||= toolsStart;
    },
    failedCall(call) {
      addUsage(usage, call.usage);
      write(() => happened({ case: "modelCall", value: call }));
    },
    toolResult(result, use) {
      write(() => {
        say({ case: "toolResult", value: result });
        happened({ case: "toolUse", value: use });
      });
    },
    show(item) {
      if (!closed) shown.show(turnId, request.attempt, item);
    },
  });

  return {
    get attempt() {
      return request.attempt;
    },
    get toolStarted() {
      return toolStarted;
    },
    get closed() {
      return closed;
    },
    accept() {
      write(() => turns.open(request));
    },
    begin() {
      startedAt = performance.now();
      const tail = BigInt(transcripts.tail(sessionId));
      position = tail > request.transcriptHead ? tail : request.transcriptHead;
      const history = transcripts.read(sessionId);
      // An earlier attempt may have written the message already.
      const said = history.some((entry) => entry.turnId === turnId && entry.entry.case === "userMessage");
      let message: TranscriptEntry | undefined;
      write(() => {
        running(false);
        if (!said) message = sayMessage();
      });
      return journalOf(message === undefined ? history : [...history, message]);
    },
    end(outcome) {
      if (closed) return;
      writeTurnEnd(ledger, request, { ...outcome, toolStarted, durationMs: performance.now() - startedAt });
      closed = true;
    },
    adopt(attempt) {
      const before = request.attempt;
      request.attempt = attempt;
      try {
        write(() => {
          turns.setAttempt(turnId, attempt);
          running(toolStarted);
        });
      } catch (error) {
        request.attempt = before;
        throw error;
      }
    },
    close() {
      closed = true;
    },
  };
}

type UsageCounts = ReturnType<typeof create<typeof UsageSchema>>;

function addUsage(sum: UsageCounts, more: UsageCounts | undefined): void {
  if (more === undefined) return;
  sum.inputTokens += more.inputTokens;
  sum.outputTokens += more.outputTokens;
  sum.cacheReadTokens += more.cacheReadTokens;
  sum.cacheWriteTokens += more.cacheWriteTokens;
  sum.modelCalls += more.modelCalls;
}
