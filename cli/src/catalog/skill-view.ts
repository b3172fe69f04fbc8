import type { Skill } from "@openhermit/protocol/catalog/v1/skill";
import type { Column } from "../output/table.ts";
import type { Terminal } from "../output/terminal.ts";
import { ageText, minuteText } from "../output/time-text.ts";
import { assignedText, usersText } from "./agent-target.ts";

/** The columns of a list of skills. */
export function skillColumns(terminal: Terminal): Column<Skill>[] {
  return [
    { title: "SKILL", text: ({ id }) => id, paint: (_, text) => terminal.paint("bold", text) },
    { title: "AGENTS", text: assignedText },
    { title: "FILES", optional: true, text: ({ fileCount }) => String(fileCount) },
    { title: "SIZE", optional: true, text: ({ sizeBytes }) => bytesText(Number(sizeBytes)) },
    { title: "CHANGED", optional: true, text: ({ updateTime }) => `${ageText(updateTime)} ago` },
    { title: "DESCRIPTION", text: ({ description }) => description?.description ?? "" },
  ];
}

/** All of one skill as lines of title and value. */
export function skillRows(skill: Skill): [string, string][] {
  const { id, description, digest, fileCount, sizeBytes } = skill;
  return [
    ["Skill", id],
    ["Description", description?.description ?? ""],
    ["Used by", usersText(skill)],
    ["Files", `${filesText(fileCount)}, ${bytesText(Number(sizeBytes))}`],
    ["Licence", description?.license ?? ""],
    ["Needs", description?.compatibility ?? ""],
    ["Tools it names", description?.allowedTools ?? ""],
    ["Metadata", metadataText(description?.metadata ?? {})],
    ["Digest", digest],
    ["Added", minuteText(skill.createTime)],
    ["Changed", minuteText(skill.updateTime)],
  ];
}

const metadataText = (metadata: Readonly<Record<string, string>>): string =>
  Object.entries(metadata)
    .map(([key, value]) => `${key}=${value}`)
    .join(", ");

/** A size as `12 B`, `3.4 KiB`, `1.2 MiB`. */
export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const [size, unit] = bytes < 1024 * 1024 ? [bytes / 1024, "KiB"] : [bytes / 1024 / 1024, "MiB"];
  return `${size.toFixed(1)} ${unit}`;
}

/** `1 file`, `3 files`. */
export const filesText = (count: number): string => (count === 1 ? "1 file" : `${count} files`);
