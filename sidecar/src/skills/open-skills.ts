import { join } from "node:path";
import type { SnapshotSkill } from "@openhermit/protocol/mesh/v1/snapshot";

import type { Tool } from "../tools/tool.ts";
import type { BundleCache } from "./bundle-cache.ts";
import { SKILLS_FOLDER } from "./mount-record.ts";
import { mountSkills } from "./mount-skills.ts";
import { skillPrompt } from "./skill-prompt.ts";
import { createSkillTool, type OpenableSkill } from "./skill-tool.ts";

/** The skills of one snapshot, in place. They can be read until all who hold them have let go. */
export interface AgentSkills {
  /** What is added to the system prompt. */
  readonly prompt: string;
  /** Reads them. */
  readonly tool: Tool;
  /** Holds them for one more; call what is returned to let go. Whoever opened them holds them already. */
  hold(): () => void;
  /** Lets go for whoever opened them. */
  release(): void;
}

/** What opening skills needs. */
export interface OpenSkillsOptions {
  agentId: string;
  /** Absolute. */
  workspace: string;
  /** All skills of the snapshot; may be none. */
  skills: readonly SnapshotSkill[];
  bundles: BundleCache;
  signal: AbortSignal;
}

/**
 * Fetches what is missing and mounts all in the workspace; undefined when there are none, and what was mounted is gone then. Throws
 * SKILL_UNAVAILABLE or SKILL_NOT_MOUNTED; what was mounted before stays then. Rejects with the signal's reason after an abort.
 */
export async function openSkills(options: OpenSkillsOptions): Promise<AgentSkills | undefined> {
  const { agentId, workspace, bundles, signal } = options;
  const open: OpenableSkill[] = [];
  const releaseAll = (): void => open.forEach(({ bundle }) => bundle.release());
  try {
    for (const { id, digest } of options.skills) {
      const bundle = await bundles.hold({ agentId, skill: id, digest }, signal);
      open.push({ id, bundle, folder: join(workspace, SKILLS_FOLDER, id) });
    }
    signal.throwIfAborted();
    await mountSkills(workspace, open);
  } catch (error) {
    releaseAll();
    throw error;
  }
  if (open.length === 0) return undefined;
  let holders = 0;
  const hold = (): (() => void) => {
    let held = true;
    holders += 1;
    return () => {
      if (!held) return;
      held = false;
      holders -= 1;
      if (holders === 0) releaseAll();
    };
  };
  const described = options.skills.map(({ id, description }) => ({
    id,
    description,
    location: join(workspace, SKILLS_FOLDER, id, "SKILL.md"),
  }));
  return { prompt: skillPrompt(described), tool: createSkillTool(open), hold, release: hold() };
}
