import { toJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { ChangeSchema, type Change } from "@openhermit/protocol/manifest/v1/manifest_service";
import { printValue, type OutputFormat } from "../output/print.ts";
import type { Terminal } from "../output/terminal.ts";
import { changeLines, countChanges, planSummary, resourceName } from "./plan-text.ts";

/** A plan, or what became of one. */
export interface PrintedPlan {
  readonly changes: readonly Change[];
  readonly unchangedCount: number;
  readonly planToken: string;
}

/** A plan for a person: the changes and, last, how many and the token; or that there are none. */
export function printPlanText(terminal: Terminal, label: string, plan: PrintedPlan): void {
  const { changes, unchangedCount, planToken } = plan;
  for (const line of changeLines(terminal, changes)) terminal.line(line);
  terminal.line(
    changes.length === 0 ? noChanges(label) : planSummary(countChanges(changes, unchangedCount), planToken),
  );
}

/** That a manifest asks for nothing that is not so. */
export const noChanges = (label: string): string => `No changes. The fleet matches ${label}.`;

/**
 * A plan for a program: one object with the changes, the counts and the token; with jsonl a change a line, and last a line
 * with the rest; with name the resources, like `agent/one`.
 */
export async function printPlanData(
  terminal: Terminal,
  format: OutputFormat,
  plan: PrintedPlan,
  more: JsonObject = {},
): Promise<void> {
  const { changes, unchangedCount, planToken } = plan;
  if (format === "name") {
    for (const { resourceType, resourceId } of changes)
      terminal.line(resourceName(resourceType, resourceId).replace(" ", "/"));
    return;
  }
  const rest = { counts: { ...countChanges(changes, unchangedCount) }, planToken, ...more };
  await printList(
    terminal,
    format,
    "changes",
    changes.map((change) => toJson(ChangeSchema, change)),
    rest,
  );
}

/** A list under its name with what else is to say; with jsonl an item a line, and the rest on the last one. */
export async function printList(
  terminal: Terminal,
  format: OutputFormat,
  name: string,
  items: readonly JsonValue[],
  rest: JsonObject,
): Promise<void> {
  if (format !== "jsonl") return printValue(terminal, format, { [name]: [...items], ...rest });
  for (const item of items) terminal.line(JSON.stringify(item));
  terminal.line(JSON.stringify(rest));
}
