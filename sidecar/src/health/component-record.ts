import { create, equals } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { ComponentHealthSchema, HealthState, type ComponentHealth } from "@openhermit/protocol/health/v1/health";

const MAX_TEXT = 2000;

/** How a component is now. */
export interface ComponentChange {
  state: HealthState;
  /** Why, and what to do; empty when all is well. Cut to 2,000 characters. */
  detail?: string;
  /** The error that led to it; the one before stays when there is none. */
  error?: string;
  /** Of an MCP server. What it was when not given. */
  toolCount?: number;
}

/** One component of an agent, with a memory: since when it is in its state, and its last error. */
export interface ComponentRecord {
  readonly component: ComponentHealth;
  /**
   * Takes how it is. An error that goes on keeps its time, so that a report is sent only when something has changed.
   * Calls `onChanged` then.
   */
  set(change: ComponentChange): void;
}

/** Makes a record. */
export function createComponentRecord(name: string, first: ComponentChange, onChanged: () => void): ComponentRecord {
  const next = (before: ComponentHealth | undefined, change: ComponentChange): ComponentHealth => {
    const { state } = change;
    const now = timestampNow();
    const error = change.error?.slice(0, MAX_TEXT) ?? "";
    const goesOn = before !== undefined && before.state !== HealthState.OK && before.lastError === error;
    const component = create(ComponentHealthSchema, {
      name,
      state,
      since: before?.state === state ? (before.since ?? now) : now,
      detail: (change.detail ?? "").slice(0, MAX_TEXT),
      toolCount: change.toolCount ?? before?.toolCount ?? 0,
      lastError: error === "" ? (before?.lastError ?? "") : error,
    });
    const time = error === "" || goesOn ? before?.lastErrorTime : now;
    if (time !== undefined) component.lastErrorTime = time;
    return component;
  };
  let component = next(undefined, first);
  return {
    get component() {
      return component;
    },
    set(change) {
      const after = next(component, change);
      if (equals(ComponentHealthSchema, component, after)) return;
      component = after;
      onChanged();
    },
  };
}
