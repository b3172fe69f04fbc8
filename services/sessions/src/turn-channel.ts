import { create } from "@bufbuild/protobuf";
import type { Ephemeral } from "@openhermit/protocol/mesh/v1/outbox";
import {
  TextSnapshotSchema,
  TurnEventSchema,
  TurnState,
  type Turn,
  type TurnEvent,
  type TranscriptEntry,
} from "@openhermit/protocol/sessions/v1/session";
import type { CaughtUp, TurnNews, TurnSubscription } from "./turn-subscription.ts";
import { isEnd } from "./turn.ts";

/** About how much an event takes besides its text. */
const EVENT_BYTES = 200;

/** A complete step, as stored. */
export interface StoredStep {
  readonly position: bigint;
  readonly step: number;
}

/** What is going on in one turn, for all who watch it through this gateway. */
export interface TurnChannel {
  readonly turnId: string;
  /** The newest state this gateway knows; undefined until it was read. */
  readonly turn: Turn | undefined;
  /** Counts everything that was shown, so that a slow read can tell that it is out of date. */
  readonly version: number;
  /** The last stored position that was shown. */
  readonly position: bigint;
  /** Whether somebody watches. */
  readonly watched: boolean;
  /** The turn is in a new state, or another attempt, and that is shown. The end closes the channel and never changes. */
  show(turn: Turn): void;
  /** Takes a state without showing it if none is known yet, for a subscriber that shows it itself. Its entries come after the position. */
  know(turn: Turn, position: bigint): void;
  /** An entry was stored. */
  entry(entry: TranscriptEntry): void;
  /** The sidecar was out of sight: text of the step it is in may be missing, so that step is shown again when it is complete. */
  resume(): void;
  /** Text and tool calls, as they come. */
  ephemeral(item: Ephemeral): void;
  subscribe(subscription: TurnSubscription): void;
  unsubscribe(subscription: TurnSubscription): void;
  /** Goes on live after this was read, with all the text of the running step unless that step is among the complete ones. */
  catchUp(subscription: TurnSubscription, read: CaughtUp, completeSteps: readonly StoredStep[]): void;
  /** Closes every subscription. */
  close(error: Error): void;
}

/** Creates the channel of one turn. `onEnd` is called after its end was shown. */
export function createTurnChannel(options: {
  turnId: string;
  position: bigint;
  onEnd(): void;
  onUnwatched(): void;
}): TurnChannel {
  const subscriptions = new Set<TurnSubscription>();
  let turn: Turn | undefined;
  let version = 0;
  let { position } = options;
  /** The step whose text is coming in, and the text so far. Rope strings: appending is cheap. */
  let step = 0;
  let text = "";
  /** Up to this step of the running attempt the text is complete; a late delta of it is stale. */
  let completeStep = 0;
  /** The step of which text may be missing: not known yet which, or none. */
  let partialStep: number | "unknown" | undefined;
  /** Text of attempts before this one belongs to a run that was given up. */
  let firstAttempt = 0;

  const publish = (event: TurnEvent["event"], bytes: number, at?: bigint): void => {
    version += 1;
    if (subscriptions.size === 0) return;
    const shared = create(TurnEventSchema, { event });
    const news: TurnNews =
      at === undefined
        ? { event: shared, bytes: EVENT_BYTES + bytes }
        : { event: shared, bytes: EVENT_BYTES + bytes, position: at };
    for (const subscription of subscriptions) subscription.push(news);
  };

  const snapshot = (): TurnNews => ({
    event: create(TurnEventSchema, {
      event: { case: "textSnapshot", value: create(TextSnapshotSchema, { step, text }) },
    }),
    bytes: EVENT_BYTES + text.length,
  });

  /** The run that was going on is over: a new one starts its step anew. */
  const restart = (nextAttempt: number): void => {
    firstAttempt = nextAttempt;
    completeStep = 0;
    partialStep = undefined;
    if (text !== "") {
      text = "";
      publish({ case: "textSnapshot", value: create(TextSnapshotSchema, { step, text }) }, 0);
    }
    step = 0;
  };

  const appendText = (atStep: number, more: string): boolean => {
    if (atStep <= completeStep) return false;
    if (partialStep === "unknown") partialStep = atStep;
    if (partialStep === atStep) return false;
    if (atStep !== step) {
      step = atStep;
      text = more;
    } else {
      text += more;
    }
    return true;
  };

  return {
    turnId: options.turnId,
    get turn() {
      return turn;
    },
    get version() {
      return version;
    },
    get position() {
      return position;
    },
    get watched() {
      return subscriptions.size > 0;
    },
    show(next) {
      if (turn !== undefined) {
        if (isEnd(turn.state) || next.attempt < turn.attempt) return;
        if (turn.state === next.state && turn.attempt === next.attempt) {
          turn = next;
          return;
        }
      }
      turn = next;
      if (next.state === TurnState.QUEUED) restart(next.attempt + 1);
      // The message is shared by all events of the turn; only the answer is this event's own.
      publish({ case: "turn", value: next }, next.answer.length);
      if (!isEnd(next.state)) return;
      for (const subscription of subscriptions) subscription.close();
      options.onEnd();
    },
    know(next, after) {
      turn ??= next;
      if (after > position) position = after;
    },
    entry(entry) {
      if (entry.position <= position) return;
      position = entry.position;
      const said = entry.entry;
      switch (said.case) {
        case "assistantMessage": {
          completeStep = Math.max(completeStep, said.value.step);
          if (said.value.step >= step) text = "";
          // The next step begins in sight.
          partialStep = undefined;
          let bytes = said.value.text.length + said.value.providerMetadataJson.length;
          for (const call of said.value.toolCalls) bytes += EVENT_BYTES + call.argumentsJson.length;
          publish({ case: "assistantMessage", value: said.value }, bytes, position);
          return;
        }
        case "toolResult":
          publish({ case: "toolResult", value: said.value }, said.value.text.length, position);
          return;
        case "userMessage":
        case undefined:
          version += 1;
      }
    },
    resume() {
      partialStep = "unknown";
    },
    ephemeral({ attempt, body }) {
      if (turn === undefined || attempt < firstAttempt || attempt > turn.attempt || isEnd(turn.state)) return;
      switch (body.case) {
        case "textDelta":
          if (appendText(body.value.step, body.value.text)) publish(body, body.value.text.length);
          return;
        case "reasoningDelta":
          if (body.value.step > completeStep) publish(body, body.value.text.length);
          return;
        case "toolCall":
          publish(body, body.value.argumentsJson.length);
          return;
        case undefined:
      }
    },
    subscribe(subscription) {
      subscriptions.add(subscription);
    },
    unsubscribe(subscription) {
      subscriptions.delete(subscription);
      if (subscriptions.size === 0) options.onUnwatched();
    },
    catchUp(subscription, read, completeSteps) {
      // A step that is stored but not yet shown here; one that was shown has no text left.
      const complete = completeSteps.some((stored) => stored.position > position && stored.step >= step);
      subscription.catchUp(read, text === "" || complete ? undefined : snapshot());
    },
    close(error) {
      for (const subscription of subscriptions) subscription.close(error);
    },
  };
}
