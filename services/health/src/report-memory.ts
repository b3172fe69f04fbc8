import type { ComponentHealth } from "@openhermit/protocol/health/v1/health";
import { isSame, normalise } from "./component-health.ts";
import type { Report } from "./fleet-health.ts";

type Named = readonly [agentId: string, report: Report];

/** What this gateway knows of all agents, and what it has still to tell and to hear. */
export interface ReportMemory {
  readonly reports: ReadonlyMap<string, Report>;
  /** Takes a report of a sidecar. Returns whether it changed anything. */
  put(agentId: string, components: readonly ComponentHealth[], now: Date): boolean;
  /** Notes that the sidecar of an agent has left. Returns whether that changed anything. */
  leave(agentId: string, now: Date): boolean;
  /** Takes what is stored of the agents asked for, where it is newer; what is stored no more, and not to be written, goes. */
  merge(asked: readonly string[] | "all", stored: ReadonlyMap<string, Report>): void;
  takeUnwritten(): Named[];
  putBackUnwritten(reports: readonly Named[]): void;
  markUnread(agentIds: readonly string[] | "all"): void;
  takeUnread(): readonly string[] | "all";
  putBackUnread(agentIds: readonly string[] | "all"): void;
}

/** Makes an empty memory. */
export function createReportMemory(): ReportMemory {
  const reports = new Map<string, Report>();
  const unwritten = new Set<string>();
  let unread: Set<string> | "all" = new Set();

  const markUnread = (agentIds: readonly string[] | "all"): void => {
    if (agentIds === "all") unread = "all";
    else if (unread !== "all") for (const agentId of agentIds) unread.add(agentId);
  };

  return {
    reports,
    put(agentId, components, now) {
      const before = reports.get(agentId);
      const next = normalise(components, before?.components ?? [], now);
      reports.set(agentId, { reportTime: now, components: next, attached: true });
      if (before?.attached === true && isSame(before.components, next)) return false;
      unwritten.add(agentId);
      return true;
    },
    leave(agentId, now) {
      const before = reports.get(agentId);
      if (before?.attached !== true) return false;
      reports.set(agentId, { ...before, reportTime: now, attached: false });
      unwritten.add(agentId);
      return true;
    },
    merge(asked, stored) {
      for (const agentId of asked === "all" ? [...reports.keys()] : asked) {
        if (!stored.has(agentId) && !unwritten.has(agentId)) reports.delete(agentId);
      }
      for (const [agentId, report] of stored) {
        const known = reports.get(agentId);
        if (known === undefined || known.reportTime < report.reportTime) reports.set(agentId, report);
      }
    },
    takeUnwritten() {
      const taken = [...unwritten].flatMap((agentId): Named[] => {
        const report = reports.get(agentId);
        return report === undefined ? [] : [[agentId, report]];
      });
      unwritten.clear();
      return taken;
    },
    putBackUnwritten(taken) {
      for (const [agentId] of taken) unwritten.add(agentId);
    },
    markUnread,
    takeUnread() {
      const taken = unread === "all" ? "all" : [...unread];
      unread = new Set();
      return taken;
    },
    putBackUnread: markUnread,
  };
}
