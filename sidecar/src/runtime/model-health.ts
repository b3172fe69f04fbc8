import { HealthState, type ComponentHealth } from "@openhermit/protocol/health/v1/health";
import { createComponentRecord, type ComponentChange } from "../health/component-record.ts";
import { ModelError, type ModelErrorReason } from "../model/model-error.ts";

const STATE_OF: Partial<Record<ModelErrorReason, HealthState>> = {
  MODEL_KEY_MISSING: HealthState.DOWN,
  MODEL_KEY_REFUSED: HealthState.DOWN,
  MODEL_NOT_FOUND: HealthState.DOWN,
  MODEL_QUOTA_EXHAUSTED: HealthState.DOWN,
  MODEL_UNAVAILABLE: HealthState.DOWN,
  MODEL_ANSWER_INVALID: HealthState.DOWN,
  MODEL_RATE_LIMITED: HealthState.DEGRADED,
};

/** The health of an agent's model, as its last call showed it. */
export interface ModelHealth {
  readonly component: ComponentHealth;
  /** Takes the error of a call, or undefined after one that succeeded. What is the request's own fault changes nothing. */
  called(error: unknown): void;
}

/** Starts as OK, or with what is known to be wrong before any call. */
export function createModelHealth(problem: ModelError | undefined, onChanged: () => void): ModelHealth {
  const record = createComponentRecord("model", changeOf(problem) ?? { state: HealthState.OK }, onChanged);
  return {
    get component() {
      return record.component;
    },
    called(error) {
      const change = changeOf(error);
      if (change !== undefined) record.set(change);
    },
  };
}

function changeOf(error: unknown): ComponentChange | undefined {
  if (error === undefined) return { state: HealthState.OK };
  if (!(error instanceof ModelError)) return undefined;
  const state = STATE_OF[error.reason];
  return state === undefined ? undefined : { state, detail: error.message, error: error.message };
}
