import { randomUUID } from "node:crypto";
import { lstat, mkdir, readdir, rename, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { failedPrecondition, MeshError, toError } from "@openhermit/errors";
import { packBundle, removeBundle, writeBundle } from "@openhermit/skill-bundle";

import type { HeldBundle } from "./bundle-cache.ts";
import { readFolder } from "./bundle-folder.ts";
import { readMountRecord, SKILLS_FOLDER, writeMountRecord } from "./mount-record.ts";

const UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
/** What this file has made on its way and a kill has left: a staged or replaced copy, a record half written. */
const LEFT_OVER = new RegExp(`^(?:\\.{1,2}[a-z0-9-]{1,64}(?:\\.${UUID}){1,2}|\\.mounted\\.json\\.${UUID})$`);

/** A skill to be mounted. */
export interface MountedSkill {
  readonly id: string;
  readonly bundle: HeldBundle;
}

/**
 * Brings `.agents/skills` of a workspace in step with the skills: read-only copies, of which only those are touched that are new,
 * changed, gone, or not as they were left. Throws SKILL_NOT_MOUNTED, a sentence that names the skill, where a folder
 * that is not ours is in the way or a link leads elsewhere; nothing that was mounted has changed then. Calls for one
 * workspace must come one after the other.
 */
export async function mountSkills(workspace: string, skills: readonly MountedSkill[]): Promise<void> {
  const directory = join(workspace, SKILLS_FOLDER);
  const kind = await kindOf(workspace);
  if (skills.length === 0 && kind !== "folder") return;
  const [first] = skills;
  if (first !== undefined && kind === "other") {
    throw notMounted(first.id, `"${SKILLS_FOLDER}" is a link, or not a folder`);
  }
  let working = first?.id ?? "";
  let doing = "placed in";
  try {
    await mkdir(directory, { recursive: true });
    const record = await readMountRecord(directory);
    await removeLeftOvers(directory);
    const stale: MountedSkill[] = [];
    for (const skill of skills) {
      working = skill.id;
      const state = await stateOf(join(directory, skill.id), skill.bundle.digest);
      if (state === "other" && !record.has(skill.id)) {
        throw notMounted(skill.id, `"${join(SKILLS_FOLDER, skill.id)}" is there already and is not the sidecar's`);
      }
      if (state !== "same") stale.push(skill);
    }
    const wanted = new Map(skills.map(({ id, bundle }) => [id, bundle.digest]));
    const gone = [...record.keys()].filter((id) => !wanted.has(id));
    // Known as ours before they are there: what a kill leaves half is repaired, and not taken for the user's.
    if (isDifferent(record, wanted)) await writeMountRecord(directory, new Map([...record, ...wanted]));
    await replace(directory, stale);
    doing = "taken out of";
    for (const id of gone) {
      working = id;
      await removeBundle(join(directory, id));
    }
    if (gone.length > 0) await writeMountRecord(directory, wanted);
    if (skills.length === 0) await removeEmptyFolders(workspace);
  } catch (error) {
    if (error instanceof MeshError) throw error;
    throw notMounted(working, toError(error).message, doing, error);
  }
}

/** Writes all the copies aside, and only then puts them in their places. */
async function replace(directory: string, skills: readonly MountedSkill[]): Promise<void> {
  const aside = (id: string): string => join(directory, `.${id}.${randomUUID()}`);
  const staged: { target: string; stage: string; old: string }[] = [];
  try {
    for (const { id, bundle } of skills) {
      const files = await readFolder(bundle.directory);
      if (files === undefined || packBundle(files).digest !== bundle.digest) {
        bundle.distrust();
        throw notMounted(id, "its files in the sidecar's home were changed; they are fetched anew");
      }
      const stage = aside(id);
      staged.push({ target: join(directory, id), stage, old: aside(id) });
      await writeBundle(stage, files);
    }
    for (const { target, stage, old } of staged) {
      await rename(target, old).catch(ignoreMissing);
      await rename(stage, target).catch(async (error: unknown) => {
        await rename(old, target).catch(ignoreMissing);
        throw error;
      });
    }
  } finally {
    for (const { stage, old } of staged) {
      await removeBundle(stage);
      await removeBundle(old);
    }
  }
}

/** What is at `.agents/skills` of a workspace. A link anywhere on the way there is something else than a folder. */
async function kindOf(workspace: string): Promise<"nothing" | "folder" | "other"> {
  for (const path of [join(workspace, ".agents"), join(workspace, SKILLS_FOLDER)]) {
    const stats = await lstat(path).catch(ignoreMissing);
    if (stats === undefined) return "nothing";
    if (!stats.isDirectory()) return "other";
  }
  return "folder";
}

async function stateOf(target: string, digest: string): Promise<"missing" | "same" | "other"> {
  const stats = await lstat(target).catch(ignoreMissing);
  if (stats === undefined) return "missing";
  if (!stats.isDirectory()) return "other";
  const files = await readFolder(target);
  return files !== undefined && packBundle(files).digest === digest ? "same" : "other";
}

async function removeLeftOvers(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (LEFT_OVER.test(name)) await removeBundle(join(directory, name));
  }
}

/** Folders of the user stay, and keep these from being empty. */
async function removeEmptyFolders(workspace: string): Promise<void> {
  for (const folder of [SKILLS_FOLDER, ".agents"]) await rmdir(join(workspace, folder)).catch(() => undefined);
}

function isDifferent(one: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>): boolean {
  return [...other].some(([id, digest]) => one.get(id) !== digest);
}

function ignoreMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
}

function notMounted(skill: string, why: string, doing = "placed in", cause?: unknown): MeshError {
  return failedPrecondition(
    "SKILL_NOT_MOUNTED",
    `the skill "${skill}" can't be ${doing} the agent's workspace: ${why}`,
    {
      hint: "Move what is in its way; it is tried again by itself.",
      fields: { skill },
      cause,
    },
  );
}
