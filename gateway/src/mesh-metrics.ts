import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Database } from "@openhermit/postgres";
import type { Event } from "@openhermit/protocol/activity/v1/event";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import type { Telemetry } from "@openhermit/telemetry";

/** Counts what passes between the mesh and the database. */
export interface MeshMetrics {
  attached(link: { sidecarId: string; epoch: bigint }): void;
  detached(link: { sidecarId: string; epoch: bigint }): void;
  ingested(batch: { events: { event: Event }[]; entries: readonly unknown[]; turnChanges: readonly unknown[] }): void;
}

// Labels by agent are bounded: past this many agents the rest is counted together.
const MAX_AGENT_LABELS = 1_000;

const END_STATES: Readonly<Record<number, string>> = {
  [TurnState.SUCCEEDED]: "succeeded",
  [TurnState.FAILED]: "failed",
  [TurnState.CANCELLED]: "cancelled",
  [TurnState.INTERRUPTED]: "interrupted",
};

/** Creates the metrics of the mesh. */
export function createMeshMetrics(meter: Telemetry["meter"], database: Pick<Database, "statementCount">): MeshMetrics {
  const links = new Map<string, bigint>();
  const agents = new Set<string>();
  const turns = meter.createCounter("openhermit_turns", { description: "Turns that ended, by agent and end state." });
  const batchSize = meter.createHistogram("openhermit_ingest_entries", {
    description: "Entries of all sidecars that were committed together.",
    advice: { explicitBucketBoundaries: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] },
  });
  const lag = meter.createHistogram("openhermit_ingest_lag_seconds", {
    description: "From the oldest event of a commit, on its sidecar's clock, to the commit.",
    advice: { explicitBucketBoundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30, 300, 3600] },
  });
  meter
    .createObservableGauge("openhermit_links", { description: "Sidecars attached to this gateway." })
    .addCallback((result) => result.observe(links.size));
  meter
    .createObservableCounter("openhermit_database_statements", { description: "Statements sent to the database." })
    .addCallback((result) => result.observe(database.statementCount()));

  const agentLabel = (agentId: string) => {
    if (agents.size < MAX_AGENT_LABELS) {
      agents.add(agentId);
    }
    return agents.has(agentId) ? agentId : "other";
  };
  return {
    attached: ({ sidecarId, epoch }) => void links.set(sidecarId, epoch),
    detached({ sidecarId, epoch }) {
      // The detach of an older attach may come after the attach of a newer one.
      if (links.get(sidecarId) === epoch) {
        links.delete(sidecarId);
      }
    },
    ingested({ events, entries, turnChanges }) {
      batchSize.record(events.length + entries.length + turnChanges.length);
      let oldest = Number.POSITIVE_INFINITY;
      for (const { event } of events) {
        if (event.time !== undefined) {
          oldest = Math.min(oldest, timestampMs(event.time));
        }
        if (event.detail.case === "turnEnd") {
          const state = END_STATES[event.detail.value.state] ?? "unknown";
          turns.add(1, { agent: agentLabel(event.agentId), state });
        }
      }
      if (oldest !== Number.POSITIVE_INFINITY) {
        lag.record(Math.max(0, Date.now() - oldest) / 1000);
      }
    },
  };
}
