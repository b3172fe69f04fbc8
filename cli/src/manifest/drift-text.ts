import { timestampMs } from "@bufbuild/protobuf/wkt";
import { DriftKind, type DetectDriftResponse, type Drift } from "@openhermit/protocol/manifest/v1/manifest_service";
import type { Terminal } from "../output/terminal.ts";
import { minuteText } from "../output/time-text.ts";
import { fieldLines, type FieldView } from "./field-lines.ts";
import { resourceName } from "./plan-text.ts";
import { visibleText } from "./value-text.ts";

/** How many resources differ, in which way. */
export interface DriftCounts {
  changed: number;
  added: number;
  missing: number;
  unchanged: number;
}

type Color = "green" | "yellow" | "red";

const STYLES: Readonly<Record<number, { sign: string; color: Color; view: FieldView; words: string }>> = {
  [DriftKind.CHANGED]: { sign: "~", color: "yellow", view: "both", words: "" },
  [DriftKind.ADDED]: { sign: "+", color: "green", view: "after", words: "only in the fleet" },
  [DriftKind.MISSING]: { sign: "-", color: "red", view: "before", words: "missing in the fleet" },
};

/** The counts of a drift. */
export function countDrifts({ drifts, unchangedCount }: DetectDriftResponse): DriftCounts {
  const of = (kind: DriftKind): number => drifts.filter((drift) => drift.kind === kind).length;
  return {
    changed: of(DriftKind.CHANGED),
    added: of(DriftKind.ADDED),
    missing: of(DriftKind.MISSING),
    unchanged: unchangedCount,
  };
}

/** A drift for a person: a line a resource, its fields from the manifest's value to the fleet's, who changed it and when. */
export function driftLines(terminal: Terminal, drifts: readonly Drift[], now: number = Date.now()): string[] {
  return drifts.flatMap((drift) => {
    const { sign, color, view, words } = STYLES[drift.kind] ?? { sign: "?", color: "yellow", view: "both", words: "" };
    const name = terminal.paint(color, `${sign} ${resourceName(drift.resourceType, drift.resourceId)}`);
    // The fields of what is missing stand in the manifest.
    const fields = drift.kind === DriftKind.MISSING ? [] : fieldLines(terminal, drift.fields, view);
    return [
      words === "" ? name : `${name}  ${words}`,
      ...fields,
      `    ${terminal.paint("dim", changedBy(drift, now))}`,
    ];
  });
}

/** The last line of a drift. */
export function driftSummary({ changed, added, missing }: DriftCounts): string {
  return `Drift: ${changed} changed (manifest → fleet), ${added} only in the fleet, ${missing} missing.`;
}

/** `changed by member:alice 3 min ago (2026-11-21 14:03)`. */
function changedBy({ kind, actor, time, action }: Drift, now: number): string {
  if (actor === "") {
    const done = { [DriftKind.ADDED]: "added", [DriftKind.MISSING]: "removed" }[kind as number] ?? "changed";
    return `${done} by: not known, the audit trail does not say`;
  }
  const when = time ? ` ${agoText(now - timestampMs(time))} (${minuteText(time)})` : "";
  return `${verbOf(action, kind)} by ${visibleText(actor)}${when}`;
}

const VERBS: Readonly<Record<string, string>> = {
  create: "created",
  delete: "deleted",
  enable: "enabled",
  disable: "disabled",
  start: "started",
  stop: "stopped",
  move: "moved",
};

/** What `agents.update` did. Of what the manifest does not know the last change may not be the one that added it. */
const verbOf = (action: string, kind: DriftKind): string =>
  VERBS[action.slice(action.lastIndexOf(".") + 1)] ?? (kind === DriftKind.ADDED ? "last changed" : "changed");

/** `12 s ago`, `3 min ago`, `2 h ago`, `5 d ago`. */
function agoText(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}
