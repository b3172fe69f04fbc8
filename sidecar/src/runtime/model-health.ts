import { create } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { ComponentHealthSchema, HealthState, type ComponentHealth } from "@openhermit/protocol/health/v1/health";
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
  let component =
    problem === undefined
      ? make(HealthState.OK, "")
      : make(STATE_OF[problem.reason] ?? HealthState.DOWN, problem.message);
  return {
    get component() {
      return component;
    },
    called(error) {
      const state =
        error === undefined ? HealthState.OK : error instanceof ModelError ? STATE_OF[error.reason] : undefined;
      if (state === undefined) return;
      const detail = error instanceof ModelError ? error.message : "";
      if (component.state === state && component.detail === detail) return;
      component = make(state, detail);
      onChanged();
    },
  };
}

function make(state: HealthState, detail: string): ComponentHealth {
  return create(ComponentHealthSchema, { name: "model", state, since: timestampNow(), detail: detail.slice(0, 2000) });
}
