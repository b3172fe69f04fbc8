import { create } from "@bufbuild/protobuf";
import { createYamlParser } from "@openhermit/bounded-yaml";
import { didYouMean } from "@openhermit/nearest-name";
import { SkillDescriptionSchema, type SkillDescription } from "@openhermit/protocol/catalog/v1/skill";
import {
  isAlias,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  visit,
  type Alias,
  type Document,
  type Node,
  type YAMLMap,
} from "yaml";
import type { SkillTextProblem } from "./skill-text.ts";

const MAX_FRONT_MATTER = 64 * 1024;
const MAX_NAME = 64;
const MAX_DESCRIPTION = 1024;
const MAX_COMPATIBILITY = 500;
/** Of a map in a map, with room to say what is wrong with more. */
const MAX_DEPTH = 16;
const NAME = /^[a-z0-9]+(-[a-z0-9]+)*$/;
const KEYS = ["name", "description", "license", "compatibility", "metadata", "allowed-tools"];
/** Tab and line breaks may stand in a text, other control characters not: they can be neither shown nor stored. */
const UNPRINTABLE = /(?![\t\n\r])\p{Cc}/u;

/** What the front matter of a SKILL.md says. */
export interface FrontMatter {
  problems: SkillTextProblem[];
  /** Complete only when there are no problems. */
  description: SkillDescription;
}

/**
 * Reads front matter by the specification of Agent Skills (agentskills.io/specification). `folder` is what the skill must be called.
 * As the specification's own validator does, it takes every scalar as text: `version: 1.0` is "1.0".
 */
export function readFrontMatter(text: string, folder: string | undefined): FrontMatter {
  const description = create(SkillDescriptionSchema);
  const problems: SkillTextProblem[] = [];
  const add = (line: number, message: string, hint = ""): void => {
    problems.push({ line, message, hint });
  };
  if (text.length > MAX_FRONT_MATTER) {
    add(1, `the front matter has more than ${MAX_FRONT_MATTER / 1024} KiB`, "put the text after the second ---");
    return { problems, description };
  }
  const lineCounter = new LineCounter();
  // Front matter begins at line 2 of its file.
  const lineAt = (offset: number | undefined): number => lineCounter.linePos(offset ?? 0).line + 1;
  const parser = createYamlParser({ maxDepth: MAX_DEPTH, maxTokens: MAX_FRONT_MATTER });
  const result = parser.parse(text, { schema: "failsafe", lineCounter });
  if (result.kind !== "document") {
    add(
      lineAt(result.offset),
      `the front matter is not valid YAML: it is ${result.kind === "too deep" ? "nested too deep" : result.kind}`,
    );
    return { problems, description };
  }
  const { document } = result;
  for (const error of [...document.errors, ...document.warnings].slice(0, 10)) {
    const sentence = error.message.replace(/\.$/, "");
    add(lineAt(error.pos[0]), `the front matter is not valid YAML: ${sentence}`, yamlHint(error.code));
  }
  if (problems.length > 0) return { problems, description };

  const targets = aliasTargets(document);
  /** The entries of a map, with each value as text, or as a map, or undefined when it is neither. Aliases are followed, never multiplied. */
  const entries = (map: YAMLMap): Map<string, { value: string | YAMLMap | undefined; line: number }> => {
    const found = new Map<string, { value: string | YAMLMap | undefined; line: number }>();
    for (const pair of map.items) {
      const key = isScalar(pair.key) ? pair.key.value : undefined;
      const line = lineAt((isNode(pair.key) ? pair.key : map).range?.[0]);
      if (typeof key !== "string" || key === "") {
        add(line, "a key of the front matter is not a text");
        continue;
      }
      const node = isAlias(pair.value) ? targets.get(pair.value) : pair.value;
      const value = isMap(node)
        ? node
        : node === null
          ? ""
          : isScalar<string | null>(node)
            ? (node.value ?? "")
            : undefined;
      if (found.has(key)) add(line, `the key "${key}" stands twice`, "leave one of them out");
      else found.set(key, { value, line });
    }
    return found;
  };

  const root = document.contents;
  if (root !== null && !isMap(root)) {
    add(2, "the front matter is not a map of keys and values", "write it as name: … and description: …");
    return { problems, description };
  }
  const given = root === null ? new Map<string, never>() : entries(root);
  for (const [key, { line }] of given) {
    if (KEYS.includes(key)) continue;
    const hint = didYouMean(key, KEYS, `put it under metadata; the keys are ${KEYS.join(", ")}`);
    add(line, `the key "${key}" is not one of the Agent Skills specification`, hint);
  }
  const textOf = (key: string, hint = ""): { value: string; line: number } | undefined => {
    const entry = given.get(key);
    if (entry === undefined) return undefined;
    const { value, line } = entry;
    if (typeof value !== "string") add(line, `${key} is not a text`, hint);
    else if (!isClean(value)) add(line, `${key} has a control character or is not valid Unicode`);
    else return { value: value.trim(), line };
    return undefined;
  };
  const atMost = (key: string, { value, line }: { value: string; line: number }, limit: number, hint = ""): void => {
    const length = Array.from(value).length;
    const counts = `${length.toLocaleString("en")} characters, and at most ${limit.toLocaleString("en")} are allowed`;
    if (length > limit) add(line, `${key} has ${counts}`, hint);
  };

  const name = textOf("name");
  if (name !== undefined) {
    description.name = name.value;
    if (name.value === "") add(name.line, "name is empty");
    else if (!NAME.test(name.value)) add(name.line, `the name "${cut(name.value)}" is not allowed`, NAME_HINT);
    else if (folder !== undefined && name.value !== folder) {
      const calls = `the name is "${cut(name.value)}" and the folder is called "${cut(folder)}"`;
      add(name.line, calls, "give both the same name");
    }
    atMost("name", name, MAX_NAME);
  } else if (!given.has("name")) {
    add(
      1,
      "the front matter has no name",
      folder === undefined || NAME.test(folder)
        ? `add name: ${folder ?? "…"}, as the folder is called`
        : "add a name, and call the folder so",
    );
  }

  const says = textOf("description");
  if (says !== undefined) {
    description.description = says.value;
    if (says.value === "") add(says.line, "description is empty", DESCRIPTION_HINT);
    atMost("description", says, MAX_DESCRIPTION, "put the rest after the second ---");
  } else if (!given.has("description")) {
    add(1, "the front matter has no description", `add description: …; ${DESCRIPTION_HINT}`);
  }

  description.license = textOf("license")?.value ?? "";
  const compatibility = textOf("compatibility");
  if (compatibility !== undefined) {
    description.compatibility = compatibility.value;
    if (compatibility.value === "") add(compatibility.line, "compatibility is empty", "leave it out");
    atMost("compatibility", compatibility, MAX_COMPATIBILITY);
  }
  description.allowedTools = textOf("allowed-tools", 'write one text, as in allowed-tools: "Read Grep"')?.value ?? "";

  const metadata = given.get("metadata");
  if (metadata !== undefined && !isMap(metadata.value)) {
    if (metadata.value !== "")
      add(metadata.line, "metadata is not a map of texts", "write it as metadata: {author: …}");
  } else if (isMap(metadata?.value)) {
    for (const [key, { value, line }] of entries(metadata.value)) {
      if (typeof value !== "string") add(line, `metadata.${cut(key)} is not a text`, "put the value in quotes");
      else if (!isClean(key) || !isClean(value)) {
        add(line, `metadata.${cut(key)} has a control character or is not valid Unicode`);
      } else description.metadata[key] = value;
    }
  }
  return { problems, description };
}

/** What each alias stands for, in one pass: the library would go through the document for each. */
function aliasTargets(document: Document): Map<Alias, Node> {
  const anchors = new Map<string, Node>();
  const targets = new Map<Alias, Node>();
  visit(document, {
    Node: (_key, node) => {
      if (isAlias(node)) {
        const target = anchors.get(node.source);
        if (target !== undefined) targets.set(node, target);
      } else if (node.anchor !== undefined) anchors.set(node.anchor, node);
    },
  });
  return targets;
}

const NAME_HINT = "use lower-case letters, digits and single dashes between them";
const DESCRIPTION_HINT = "say what the skill does and when to use it";

function yamlHint(code: string): string {
  return code === "BLOCK_AS_IMPLICIT_KEY" || code === "UNEXPECTED_TOKEN" || code === "MULTILINE_IMPLICIT_KEY"
    ? "put a value with a colon in it in quotes"
    : "";
}

function isClean(text: string): boolean {
  return text.isWellFormed() && !UNPRINTABLE.test(text);
}

function cut(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
