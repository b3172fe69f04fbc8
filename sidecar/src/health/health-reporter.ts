import { create, equals } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { ComponentHealthSchema, type ComponentHealth, type HealthState } from "@openhermit/protocol/health/v1/health";
import { HealthReportSchema, type HealthReport } from "@openhermit/protocol/mesh/v1/link_service";

import type { LinkMessage } from "../link/link.ts";

/** How a part of the sidecar is that all of its agents share. */
export interface SharedHealth {
  name: "link" | "ledger" | "outbox";
  state: HealthState;
  /** Empty when all is well. */
  detail: string;
}

/** Tells the gateway how the agents are: after each attach, and when something has changed. */
export interface HealthReporter {
  /** Something may have changed; what did is reported once a turn of the event loop. */
  changed(): void;
  /** A new attach knows nothing yet: everything is reported. */
  attached(): void;
}

/** What a reporter needs. */
export interface HealthReporterOptions {
  /** The components of each agent's runtime. */
  agents: () => { agentId: string; components: ComponentHealth[] }[];
  /** The parts that all agents share. */
  shared: () => SharedHealth[];
  send: (message: LinkMessage) => boolean;
}

const MAX_DETAIL = 2000;

/** Makes a reporter that has reported nothing. */
export function createHealthReporter(options: HealthReporterOptions): HealthReporter {
  const { agents, shared, send } = options;
  const reported = new Map<string, HealthReport>();
  const since = new Map<string, { state: HealthState; at: Date }>();
  let scheduled = false;

  const shareOf = (part: SharedHealth): ComponentHealth => {
    const before = since.get(part.name);
    const at = before?.state === part.state ? before.at : new Date();
    since.set(part.name, { state: part.state, at });
    return create(ComponentHealthSchema, {
      name: part.name,
      state: part.state,
      since: timestampFromDate(at),
      detail: part.detail.slice(0, MAX_DETAIL),
    });
  };

  const report = (): void => {
    scheduled = false;
    const parts = shared().map(shareOf);
    const gone = new Set(reported.keys());
    for (const { agentId, components } of agents()) {
      gone.delete(agentId);
      const value = create(HealthReportSchema, { agentId, components: [...parts, ...components] });
      const before = reported.get(agentId);
      if (before !== undefined && equals(HealthReportSchema, before, value)) continue;
      if (send({ case: "healthReport", value })) reported.set(agentId, value);
    }
    for (const agentId of gone) reported.delete(agentId);
  };
  const changed = (): void => {
    if (scheduled) return;
    scheduled = true;
    setImmediate(report);
  };
  return {
    changed,
    attached() {
      reported.clear();
      changed();
    },
  };
}
