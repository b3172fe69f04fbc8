import { join } from "node:path";
import { skillBody } from "@openhermit/skill-bundle";

import { boundToolText, MAX_TOOL_TEXT_BYTES } from "../tools/tool-text.ts";
import type { Tool, ToolAnswer } from "../tools/tool.ts";
import { readFileOf, type FileFacts } from "./bundle-folder.ts";
import type { MountedSkill } from "./mount-skills.ts";

/** The name of the tool. Tools of MCP servers have `__` in theirs, so there is no second one. */
const NAME = "skill";
const SKILL_FILE = "SKILL.md";
/** How many files are listed after the instructions. */
const MAX_LISTED = 200;

/** A skill that the tool can open. */
export interface OpenableSkill extends MountedSkill {
  /** Its folder in the workspace, absolute. */
  readonly folder: string;
}

/**
 * The tool by which a model reads its skills: from the sidecar's cache, so that nothing in the workspace can change what a skill
 * says. What can't be read is an answer with isError.
 */
export function createSkillTool(skills: readonly OpenableSkill[]): Tool {
  const byId = new Map(skills.map((skill) => [skill.id, skill]));
  return {
    definition: {
      type: "function",
      name: NAME,
      description:
        "Reads a skill. With its name alone: its instructions and the list of its files. With a file of it: the text of that file.",
      inputSchema: {
        type: "object",
        properties: {
          name: { type: "string", enum: [...byId.keys()], description: "The name of the skill." },
          file: { type: "string", description: "The path of one of its files, as it stands in the list." },
        },
        required: ["name"],
        additionalProperties: false,
      },
    },
    async call({ name, file }) {
      if (typeof name !== "string") return failed(`Give the name of a skill. ${known(byId)}`);
      const skill = byId.get(name);
      if (skill === undefined) return failed(`There is no skill "${name.slice(0, 100)}". ${known(byId)}`);
      if (file !== undefined && typeof file !== "string") return failed("The file is not a text.");
      try {
        return file === undefined || file === "" ? await instructions(skill) : await oneFile(skill, file);
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        return failed(`The skill "${name}" can't be read: ${error.message}.`);
      }
    },
  };
}

async function instructions({ id, bundle, folder }: OpenableSkill): Promise<ToolAnswer> {
  const facts = bundle.files.get(SKILL_FILE);
  if (facts === undefined) return failed(`The skill "${id}" has no ${SKILL_FILE}.`);
  const content = await readFileOf(bundle.directory, SKILL_FILE, facts);
  const body = skillBody([{ path: SKILL_FILE, content, executable: false }]);
  const others = [...bundle.files].filter(([path]) => path !== SKILL_FILE);
  const lines = [`Its folder is ${folder}; relative paths are relative to it.`];
  if (others.length > 0) {
    lines.push("<skill_files>", ...others.slice(0, MAX_LISTED).map(([path, one]) => listed(path, one, folder)));
    if (others.length > MAX_LISTED) lines.push(`  and ${others.length - MAX_LISTED} more`);
    lines.push("</skill_files>");
  }
  const after = lines.join("\n");
  const room = MAX_TOOL_TEXT_BYTES - Buffer.byteLength(after) - 200;
  const text = `<skill_content name="${id}">\n${boundToolText(body, Math.max(room, 1024))}\n\n${after}\n</skill_content>`;
  return { text: boundToolText(text), isError: false };
}

async function oneFile({ id, bundle, folder }: OpenableSkill, asked: string): Promise<ToolAnswer> {
  const path = asked.replace(/^(?:\.\/)+/, "");
  const facts = bundle.files.get(path);
  if (facts === undefined) {
    const paths = [...bundle.files.keys()];
    const more = paths.length > MAX_LISTED ? `, and ${paths.length - MAX_LISTED} more` : "";
    const files = `${paths.slice(0, MAX_LISTED).join(", ")}${more}`;
    return failed(`The skill "${id}" has no file "${path.slice(0, 200)}". Its files are: ${files}.`);
  }
  const mounted = join(folder, path);
  const content = await readFileOf(bundle.directory, path, facts);
  const text = textOf(content);
  if (text === undefined) {
    return {
      text: `This file is binary, ${content.length} bytes. It lies at ${mounted}${facts.executable ? " and can be run" : ""}.`,
      isError: false,
    };
  }
  const note = facts.executable ? `[This file can be run: ${mounted}]\n` : "";
  return { text: boundToolText(`${note}${text}`), isError: false };
}

function listed(path: string, { bytes, executable }: FileFacts, folder: string): string {
  return `  ${path} (${bytes} bytes${executable ? `, can be run: ${join(folder, path)}` : ""})`;
}

/** The content as text; undefined when it is none. */
function textOf(content: Uint8Array): string | undefined {
  if (content.includes(0)) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch {
    return undefined;
  }
}

function known(byId: ReadonlyMap<string, unknown>): string {
  return `The skills are: ${[...byId.keys()].join(", ")}.`;
}

function failed(text: string): ToolAnswer {
  return { text, isError: true };
}
