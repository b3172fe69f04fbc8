import { create } from "@bufbuild/protobuf";
import { ChangeAction, ChangeSchema, FieldChangeSchema } from "@openhermit/protocol/manifest/v1/manifest_service";
import { changeLines } from "../manifest/plan-text.ts";
import type { Terminal } from "../output/terminal.ts";

type Rows = readonly (readonly [title: string, value: string])[];

/** When it was added or changed says nothing about what it is. */
const OUTPUT_ONLY = new Set(["Added", "Changed"]);

/** Prints what became of a thing of the catalogue, as a plan says it: what is new, or in what it differs. Says that nothing does. */
export function printChange(
  terminal: Terminal,
  { noun, id, before, after }: { noun: string; id: string; before: Rows | undefined; after: Rows },
): void {
  const old = new Map(before);
  const fields = after.flatMap(([title, value]) => {
    const was = old.get(title) ?? "";
    old.delete(title);
    return OUTPUT_ONLY.has(title) || was === value ? [] : [{ title, was, value }];
  });
  for (const [title, was] of old) if (was !== "" && !OUTPUT_ONLY.has(title)) fields.push({ title, was, value: "" });
  if (fields.length === 0) {
    terminal.say(`${noun} ${id} is like that already`);
    return;
  }
  const change = create(ChangeSchema, {
    action: before ? ChangeAction.UPDATE : ChangeAction.CREATE,
    resourceType: noun,
    resourceId: id,
    fields: fields
      .filter(({ title }) => before !== undefined || (title !== "Skill" && title !== "Server"))
      .map(({ title, was, value }) => create(FieldChangeSchema, { path: title, before: was, after: value })),
  });
  for (const line of changeLines(terminal, [change])) terminal.line(line);
}
