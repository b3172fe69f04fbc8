import { invalidArgument } from "@openhermit/errors";
import type { Manifest, ManifestFile } from "@openhermit/protocol/manifest/v1/manifest_service";
import { isNothing, type ManifestEntry, type ManifestNode, type SyntaxProblem } from "./manifest-node.ts";
import { createYamlReader } from "./yaml-reader.ts";

/** The most bytes of all files together: 3 MiB. */
const MAX_BYTES = 3 * 1024 * 1024;

/** A manifest as it stands in its files, read as one. */
export interface ManifestDocument {
  /** What all files say together; undefined when they say nothing, or can't be read at all. */
  root: ManifestNode | undefined;
  problems: readonly SyntaxProblem[];
  files: readonly ManifestFile[];
}

/**
 * Reads the files of a manifest as one: their sections are merged, and what stands in two of them is a problem. Throws
 * MANIFEST_TOO_LARGE past 3 MiB and MANIFEST_FILE_TWICE for two files of one name; all else is a problem with a place.
 */
export function readManifestDocument({ files }: Pick<Manifest, "files">): ManifestDocument {
  checkFiles(files);
  const problems: SyntaxProblem[] = [];
  const reader = createYamlReader(problems);
  const roots = files
    .map(({ text }, index) => reader.read(text, index))
    .filter((root) => root !== undefined)
    .filter((root) => !isNothing(root));
  return { root: mergeRoots(roots, files, problems), problems, files };
}

/** How a file is called where a person reads it. */
export function fileTitle(files: readonly ManifestFile[], file: number): string {
  const name = files[file]?.name ?? "";
  if (name !== "") return name;
  return files.length === 1 ? "the manifest" : `file ${file + 1}`;
}

function checkFiles(files: readonly ManifestFile[]): void {
  let bytes = 0;
  const names = new Set<string>();
  for (const { name, text } of files) {
    bytes += Buffer.byteLength(text);
    if (names.has(name)) {
      throw invalidArgument("MANIFEST_FILE_TWICE", `the manifest has two files of the name "${name}"`, {
        hint: "Send each file once, under a name of its own.",
        fields: { file_name: name },
      });
    }
    names.add(name);
  }
  if (bytes <= MAX_BYTES) return;
  throw invalidArgument("MANIFEST_TOO_LARGE", `the manifest has ${bytes} bytes, and 3 MiB are the most`, {
    hint: "Apply it in parts.",
    fields: { bytes: String(bytes) },
  });
}

function mergeRoots(
  roots: readonly ManifestNode[],
  files: readonly ManifestFile[],
  problems: SyntaxProblem[],
): ManifestNode | undefined {
  const [first] = roots;
  if (roots.length < 2 || first === undefined) return first;
  const sections = new Map<string, ManifestEntry>();
  for (const root of roots) {
    if (root.kind !== "map") {
      const message = "expected a mapping";
      problems.push({ at: root.at, path: [], message, hint: "begin with agents:, or leave the file out" });
      continue;
    }
    for (const [section, entry] of root.entries) {
      const before = sections.get(section);
      const merged = before === undefined ? entry : mergeSection(section, before, entry, files, problems);
      sections.set(section, merged);
    }
  }
  return { kind: "map", at: first.at, entries: sections };
}

/** A section that stands in two files: what it names is put together, except that there is one `defaults`. */
function mergeSection(
  section: string,
  before: ManifestEntry,
  entry: ManifestEntry,
  files: readonly ManifestFile[],
  problems: SyntaxProblem[],
): ManifestEntry {
  const [one, other] = [before.value, entry.value];
  if (isNothing(other)) return before;
  if (isNothing(one)) return entry;
  const twice = (name: string, first: ManifestEntry, second: ManifestEntry, path: string[]): void => {
    const place = `${fileTitle(files, first.at.file)}, line ${first.at.line}`;
    const message = `"${name.slice(0, 80)}" stands twice; the first is in ${place}`;
    problems.push({ at: second.at, path, message, hint: "remove one of the two" });
  };
  if (one.kind === "list" && other.kind === "list") {
    return { at: before.at, value: { ...one, items: [...one.items, ...other.items] } };
  }
  if (section === "defaults" || one.kind !== "map" || other.kind !== "map") {
    twice(section, before, entry, [section]);
    return before;
  }
  const entries = new Map(one.entries);
  for (const [id, resource] of other.entries) {
    const first = entries.get(id);
    if (first === undefined) entries.set(id, resource);
    else twice(id, first, resource, [section, id]);
  }
  return { at: before.at, value: { ...one, entries } };
}
