import { create } from "@bufbuild/protobuf";
import { ChangeAction, ChangeSchema, FieldChangeSchema } from "@openhermit/protocol/manifest/v1/manifest_service";
import { fieldLines } from "../manifest/field-lines.ts";
import { changeLines } from "../manifest/plan-text.ts";
import type { Terminal } from "../output/terminal.ts";

type Rows = readonly (readonly [title: string, value: string])[];

/** When it was added or changed says nothing about what it is; what a digest stands for is said in other words. */
const LEFT_OUT = new Set(["Added", "Changed", "Digest"]);

/**
 * Prints what became of a thing of the catalogue, as a plan says it: what is new, or in what it differs, with `notes` below.
 * Says that nothing does.
 */
export function printChange(
  terminal: Terminal,
  change: { noun: string; id: string; before: Rows | undefined; after: Rows; notes?: Rows },
): void {
  const { noun, id, before, after, notes = [] } = change;
  const old = new Map(before);
  const fields = after.flatMap(([title, value]) => {
    const was = old.get(title) ?? "";
    old.delete(title);
    return LEFT_OUT.has(title) || was === value ? [] : [{ title, was, value }];
  });
  for (const [title, was] of old) if (was !== "" && !LEFT_OUT.has(title)) fields.push({ title, was, value: "" });
  if (fields.length === 0 && notes.length === 0) {
    terminal.say(`${noun} ${id} is like that already`);
    return;
  }
  const message = create(ChangeSchema, {
    action: before ? ChangeAction.UPDATE : ChangeAction.CREATE,
    resourceType: noun,
    resourceId: id,
    fields: fields
      .filter(({ title }) => before !== undefined || (title !== "Skill" && title !== "Server"))
      .map(({ title, was, value }) => create(FieldChangeSchema, { path: title, before: was, after: value })),
  });
  const noted = notes.map(([path, value]) => create(FieldChangeSchema, { path, after: value }));
  for (const line of [...changeLines(terminal, [message]), ...fieldLines(terminal, noted, "after")])
    terminal.line(line);
}
