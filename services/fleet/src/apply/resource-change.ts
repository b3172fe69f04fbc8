import type { FieldChange } from "@openhermit/caller";
import { etagOf } from "../agent.ts";
import type { ResourceChange } from "../fleet-ports.ts";

/** A change as a plan tells it. `version` is that of the resource before, if there was one. */
export function resourceChange(
  id: string,
  action: ResourceChange["action"],
  fields: readonly FieldChange[] = [],
  version?: bigint,
): ResourceChange {
  return {
    id,
    action,
    fields: fields.map((field) => ({ ...field, sensitive: false })),
    version: version === undefined ? "" : etagOf(version),
  };
}
