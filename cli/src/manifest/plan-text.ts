import { ChangeAction, type Change } from "@openhermit/protocol/manifest/v1/manifest_service";
import type { Terminal } from "../output/terminal.ts";
import { fieldLines, type FieldView } from "./field-lines.ts";
import { visibleText } from "./value-text.ts";

/** How many resources a plan creates, updates, deletes and leaves alone. */
export interface PlanCounts {
  create: number;
  update: number;
  delete: number;
  unchanged: number;
}

type Color = "green" | "yellow" | "red";

const STYLES: Readonly<Record<number, { sign: string; color: Color; view: FieldView }>> = {
  [ChangeAction.CREATE]: { sign: "+", color: "green", view: "after" },
  [ChangeAction.UPDATE]: { sign: "~", color: "yellow", view: "both" },
  [ChangeAction.DELETE]: { sign: "-", color: "red", view: "before" },
};

/** The counts of a plan. */
export function countChanges(changes: readonly Change[], unchanged: number): PlanCounts {
  const of = (action: ChangeAction): number => changes.filter((change) => change.action === action).length;
  return {
    create: of(ChangeAction.CREATE),
    update: of(ChangeAction.UPDATE),
    delete: of(ChangeAction.DELETE),
    unchanged,
  };
}

/** A plan for a person: a line a resource, its fields beneath. */
export function changeLines(terminal: Terminal, changes: readonly Change[]): string[] {
  return changes.flatMap(({ action, resourceType, resourceId, fields }) => {
    // An action that this client does not know is shown with all that is known of it.
    const { sign, color, view } = STYLES[action] ?? { sign: "?", color: "yellow", view: "both" };
    return [
      terminal.paint(color, `${sign} ${resourceName(resourceType, resourceId)}`),
      ...fieldLines(terminal, fields, view),
    ];
  });
}

/** `agent one`; of the defaults only `defaults`. */
export function resourceName(type: string, id: string): string {
  const name = type === id || id === "" ? type : `${type} ${id}`;
  return visibleText(name).replaceAll("\n", "\\n");
}

/** The last line of a plan. */
export function planSummary(counts: PlanCounts, token: string): string {
  return `Plan: ${counts.create} to create, ${counts.update} to update, ${counts.delete} to delete (plan ${token})`;
}

/** What an apply says at its end. */
export function appliedSummary(counts: PlanCounts): string {
  return `Applied: ${counts.create} created, ${counts.update} updated, ${counts.delete} deleted.`;
}
