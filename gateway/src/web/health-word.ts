import { HealthState } from "@openhermit/protocol/health/v1/health";

/** The word of a state. */
export const healthWord = (state: HealthState): "OK" | "DEGRADED" | "DOWN" =>
  state === HealthState.OK ? "OK" : state === HealthState.DEGRADED ? "DEGRADED" : "DOWN";
