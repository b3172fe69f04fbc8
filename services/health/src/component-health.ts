import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { ComponentHealthSchema, HealthState, type ComponentHealth } from "@openhermit/protocol/health/v1/health";

/** Of a detail and of an error, in characters. */
const MAX_DETAIL_LENGTH = 2000;

/** From well to worst. Unknown stands before what is known to be bad. */
const SEVERITY: readonly HealthState[] = [
  HealthState.OK,
  HealthState.UNSPECIFIED,
  HealthState.DEGRADED,
  HealthState.DOWN,
];

/** A state that this version does not know counts as unknown. */
function severity(state: HealthState): number {
  const found = SEVERITY.indexOf(state);
  return found === -1 ? 1 : found;
}

/** The worst of the states; OK of none. */
export function worst(states: readonly HealthState[]): HealthState {
  return SEVERITY[Math.max(0, ...states.map(severity))] ?? HealthState.OK;
}

/** Whether somebody should look at it. */
export function isTrouble(state: HealthState): boolean {
  return severity(state) >= severity(HealthState.DEGRADED);
}

/** A component, from plain values. */
export function component(name: string, state: HealthState, detail: string, since?: Date): ComponentHealth {
  const at = since === undefined ? {} : { since: timestampFromDate(since) };
  return create(ComponentHealthSchema, { name, state, detail: detail.slice(0, MAX_DETAIL_LENGTH), ...at });
}

/**
 * A report in its normal form: each component once (the last word counts), ordered by name. A component that is as it was
 * keeps its time; one that changed and does not say since when, changed now. Its last error stays when a report, perhaps of
 * a sidecar that was started anew, knows of none.
 */
export function normalise(
  reported: readonly ComponentHealth[],
  before: readonly ComponentHealth[],
  now: Date,
): ComponentHealth[] {
  const known = new Map(before.map((item) => [item.name, item]));
  const byName = new Map(reported.map((item) => [item.name, item]));
  return [...byName.values()]
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((item) => {
      const last = known.get(item.name);
      const same = last !== undefined && last.state === item.state;
      const since = (same ? last.since : undefined) ?? item.since ?? timestampFromDate(now);
      const detail = item.detail.slice(0, MAX_DETAIL_LENGTH);
      return create(ComponentHealthSchema, { ...item, detail, since, ...lastErrorOf(item, last) });
    });
}

function lastErrorOf(
  item: ComponentHealth,
  before: ComponentHealth | undefined,
): Pick<ComponentHealth, "lastError" | "lastErrorTime"> {
  const { lastError, lastErrorTime } = item.lastError === "" && before !== undefined ? before : item;
  return {
    lastError: lastError.slice(0, MAX_DETAIL_LENGTH),
    ...(lastErrorTime === undefined ? {} : { lastErrorTime }),
  };
}

/** Whether two reports in normal form say the same. */
export function isSame(a: readonly ComponentHealth[], b: readonly ComponentHealth[]): boolean {
  return (
    a.length === b.length &&
    a.every((item, i) => {
      const other = b[i];
      return other !== undefined && isSameComponent(item, other);
    })
  );
}

function isSameComponent(a: ComponentHealth, b: ComponentHealth): boolean {
  return (
    a.name === b.name &&
    a.state === b.state &&
    a.detail === b.detail &&
    a.toolCount === b.toolCount &&
    a.lastError === b.lastError &&
    a.lastErrorTime?.seconds === b.lastErrorTime?.seconds &&
    a.lastErrorTime?.nanos === b.lastErrorTime?.nanos
  );
}
