import { TurnState } from "@openhermit/protocol/sessions/v1/session";

/** How far a turn is: what its transitions depend on. */
export interface TurnProgress {
  readonly state: TurnState;
  /** How often it was offered. */
  readonly attempt: number;
  /** Whether a tool of it may have had an effect: then it is never run again. */
  readonly toolStarted: boolean;
  /** Whether somebody asked it to end. */
  readonly cancelRequested: boolean;
}

/** What can happen to a turn. The statements of turn-store.ts, turn-ingest-store.ts and recovery-store.ts keep the same rules. */
export type TurnTransition =
  /** A sidecar is offered it, as the next attempt. */
  | { readonly kind: "offer" }
  /** Its offer was not accepted in time and is made again. */
  | { readonly kind: "repeat-offer"; readonly attempt: number }
  /** Its offer was not delivered, or refused. */
  | { readonly kind: "give-back"; readonly attempt: number }
  /** Its sidecar says so. */
  | { readonly kind: "change"; readonly attempt: number; readonly state: TurnState; readonly toolStarted: boolean }
  /** A sidecar that attached has it in its ledger. */
  | { readonly kind: "adopt"; readonly attempt: number }
  /** Whoever ran it is gone. */
  | { readonly kind: "lose" }
  /** Somebody asks it to end. */
  | { readonly kind: "cancel" }
  /** It can't run, for example because its agent was deleted. */
  | { readonly kind: "fail" };

/** Whether a turn in this state has ended. An end never changes. */
export function isEnd(state: TurnState): boolean {
  return state >= TurnState.SUCCEEDED;
}

/** Whether a sidecar has the turn, or is about to have it. */
export function isUnderWay(state: TurnState): boolean {
  return state === TurnState.OFFERED || state === TurnState.RUNNING;
}

/** The turn after the transition; undefined when the transition does not apply and nothing changes. */
export function advanceTurn(turn: TurnProgress, transition: TurnTransition): TurnProgress | undefined {
  if (isEnd(turn.state)) return undefined;
  switch (transition.kind) {
    case "offer":
      if (turn.state !== TurnState.QUEUED || turn.toolStarted || turn.cancelRequested) return undefined;
      return { ...turn, state: TurnState.OFFERED, attempt: turn.attempt + 1 };
    case "repeat-offer":
      if (turn.state !== TurnState.OFFERED || turn.attempt !== transition.attempt) return undefined;
      return { ...turn, attempt: turn.attempt + 1 };
    case "give-back":
      return turn.state === TurnState.OFFERED && turn.attempt === transition.attempt ? lost(turn) : undefined;
    case "change":
      if (turn.attempt !== transition.attempt || turn.attempt === 0) return undefined;
      return {
        ...turn,
        state: changedState(turn.state, transition.state),
        toolStarted: turn.toolStarted || transition.toolStarted,
      };
    case "adopt":
      if (turn.attempt !== transition.attempt || turn.attempt === 0) return undefined;
      return { ...turn, state: turn.state === TurnState.QUEUED ? TurnState.OFFERED : turn.state };
    case "lose":
      return isUnderWay(turn.state) || turn.toolStarted ? lost(turn) : undefined;
    case "cancel":
      if (turn.state === TurnState.QUEUED) return { ...turn, state: TurnState.CANCELLED, cancelRequested: true };
      return { ...turn, cancelRequested: true };
    case "fail":
      return turn.state === TurnState.QUEUED ? { ...turn, state: TurnState.FAILED } : undefined;
  }
}

/** A turn without an owner: it may only run again if none of its tools has, and nobody asked it to end. */
function lost(turn: TurnProgress): TurnProgress {
  if (turn.toolStarted) return { ...turn, state: TurnState.INTERRUPTED };
  if (turn.cancelRequested) return { ...turn, state: TurnState.CANCELLED };
  return { ...turn, state: TurnState.QUEUED };
}

/** A sidecar moves a turn to running or to an end, never back. A turn that was queued again is only adopted, never just runs. */
function changedState(before: TurnState, said: TurnState): TurnState {
  if (isEnd(said)) return said;
  return before === TurnState.OFFERED ? TurnState.RUNNING : before;
}

/** What to do with a turn when a sidecar that hosts its agent attaches. */
export type AttachVerdict =
  /** The sidecar has it: it goes on there. */
  | "adopt"
  /** It has no owner any more, see the transition `lose`. */
  | "lose"
  /** Nothing. */
  | "keep";

/**
 * Decides about a turn that has not ended.
 *
 * @param ledgerAttempt the attempt in the sidecar's ledger; undefined when the ledger does not have the turn.
 * @param sessionBusy whether another turn of its session is under way.
 * @param linkedElsewhere whether another sidecar that hosts the agent is attached, which may have the turn.
 */
export function judgeOnAttach(
  turn: Pick<TurnProgress, "state" | "attempt">,
  ledgerAttempt: number | undefined,
  sessionBusy: boolean,
  linkedElsewhere: boolean,
): AttachVerdict {
  if (ledgerAttempt !== undefined && ledgerAttempt === turn.attempt) {
    return turn.state === TurnState.QUEUED && sessionBusy ? "keep" : "adopt";
  }
  return isUnderWay(turn.state) && !linkedElsewhere ? "lose" : "keep";
}
