import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AgentState } from "@openhermit/protocol/fleet/v1/agent";
import {
  AgentHealthSchema,
  FleetHealthSchema,
  HealthState,
  type AgentHealth,
  type ComponentHealth,
  type FleetHealth,
} from "@openhermit/protocol/health/v1/health";
import { component, isTrouble, worst } from "./component-health.ts";

/** An agent, as far as its health goes. */
export interface AgentView {
  agentId: string;
  state: AgentState;
  /** Since when it is in this state. */
  stateSince?: Date | undefined;
  /** Why it is in this state and what happens next, one sentence. May be empty. */
  detail: string;
  /** Why the sidecar rejected the newest snapshot. Empty or unset when it did not. */
  rejectedReason?: string;
}

/** Whether the database can be used. */
export interface DatabaseView {
  ready: boolean;
  since: Date;
  detail: string;
}

/** What a sidecar last said of an agent. */
export interface Report {
  readonly reportTime: Date;
  /** Ordered by name. */
  readonly components: readonly ComponentHealth[];
  /** Whether it is still attached. */
  readonly attached: boolean;
}

/** The most sentences of a summary; the rest is counted. */
const MAX_REASONS = 50;

interface LinkView {
  readonly state: HealthState;
  readonly says: string;
  /** Whether what the sidecar last reported still says something. */
  readonly reportCounts: boolean;
}

function linkOf(view: AgentView): LinkView {
  const { state, detail, rejectedReason = "" } = view;
  switch (state) {
    case AgentState.ONLINE:
      return rejectedReason === ""
        ? { state: HealthState.OK, says: "", reportCounts: true }
        : {
            state: HealthState.DEGRADED,
            says: `it runs with its old configuration because its sidecar rejected the new one: ${rejectedReason}`,
            reportCounts: true,
          };
    case AgentState.STOPPED:
    case AgentState.STOPPING:
      return { state: HealthState.OK, says: detail, reportCounts: false };
    case AgentState.STARTING:
      return { state: HealthState.DEGRADED, says: detail || "its sidecar is starting", reportCounts: false };
    case AgentState.CRASHED:
      return {
        state: HealthState.DOWN,
        says: detail || `its sidecar crashed; hermit logs --agent ${view.agentId} shows why`,
        reportCounts: false,
      };
    case AgentState.UNREACHABLE:
      return {
        state: HealthState.DOWN,
        says: detail || "its sidecar does not answer; check its host and its network",
        reportCounts: true,
      };
    default:
      return { state: HealthState.UNSPECIFIED, says: detail, reportCounts: true };
  }
}

/** The health of one agent: the worst of its link and of what its sidecar reported. */
export function agentHealth(view: AgentView, report: Report | undefined): AgentHealth {
  const link = linkOf(view);
  const reported = link.reportCounts ? (report?.components ?? []) : [];
  // What the gateway sees of the link counts for more than what the sidecar last said of it.
  const components = [
    ...reported.filter(({ name }) => name !== "link"),
    component("link", link.state, link.says, view.stateSince),
  ].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const nothingReported = view.state === AgentState.ONLINE && report === undefined;
  return create(AgentHealthSchema, {
    agentId: view.agentId,
    state: worst([...components.map((item) => item.state), ...(nothingReported ? [HealthState.UNSPECIFIED] : [])]),
    components,
    ...(report === undefined ? {} : { reportTime: timestampFromDate(report.reportTime) }),
  });
}

/** The health of everything, with a sentence for each trouble. */
export function fleetHealth(
  database: DatabaseView,
  views: readonly AgentView[],
  reports: ReadonlyMap<string, Report>,
): FleetHealth {
  const agents = views
    .map((view) => agentHealth(view, reports.get(view.agentId)))
    .toSorted((a, b) => (a.agentId < b.agentId ? -1 : 1));
  const databaseState = database.ready ? HealthState.OK : HealthState.DOWN;
  const reasons = [
    ...(database.ready ? [] : [databaseReason(database)]),
    ...agents.flatMap((agent) =>
      agent.components.filter(({ state }) => isTrouble(state)).map((item) => reason(agent, item)),
    ),
  ];
  const shown = reasons.slice(0, MAX_REASONS);
  if (reasons.length > shown.length) shown.push(`there are ${reasons.length - shown.length} more problems like these`);
  return create(FleetHealthSchema, {
    state: database.ready ? (reasons.length === 0 ? HealthState.OK : HealthState.DEGRADED) : HealthState.DOWN,
    reasons: shown,
    gatewayComponents: [component("database", databaseState, database.detail, database.since)],
    agents,
  });
}

function databaseReason({ since, detail }: DatabaseView): string {
  return `the database is away since ${since.toISOString()} (${detail}); the gateway reconnects by itself, check that PostgreSQL runs`;
}

function reason({ agentId }: AgentHealth, { name, state, detail }: ComponentHealth): string {
  const subject = `agent "${agentId}"`;
  if (name === "link") return `${subject}: ${detail}`;
  const how = state === HealthState.DOWN ? "does not work" : "works in part";
  return `${subject}: ${name} ${how}${detail === "" ? `; hermit logs --agent ${agentId} shows more` : `: ${detail}`}`;
}
