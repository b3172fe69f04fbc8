import { constants, existsSync } from "node:fs";
import { open, rename, rm, writeFile } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { join } from "node:path";

/** Which folders of `.agents/skills` are copies that the sidecar made: the digest of each, by the skill's id. */
export type MountRecord = ReadonlyMap<string, string>;

/** Where skills lie in a workspace, by the convention of the Agent Skills format. */
export const SKILLS_FOLDER = join(".agents", "skills");

const MOUNT_RECORD = ".mounted.json";

/** A link is not followed, and a pipe not waited for. */
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const MAX_BYTES = 1024 * 1024;
const ID = /^[a-z0-9]+(-[a-z0-9]+)*$/;

/** Whether something was ever mounted in a workspace and may still be there. Cheap, for agents that have no skills. */
export function hasMountRecord(workspace: string): boolean {
  return existsSync(join(workspace, SKILLS_FOLDER, MOUNT_RECORD));
}

/**
 * Reads the record; empty when there is none, or none that can be read. It lies where the agent's own tools can write: only
 * what can be the id of a skill is taken from it, and never by a link.
 */
export async function readMountRecord(directory: string): Promise<Map<string, string>> {
  try {
    const handle = await open(join(directory, MOUNT_RECORD), READ);
    try {
      const stats = await handle.stat();
      return stats.isFile() && stats.size <= MAX_BYTES ? entriesOf(await handle.readFile("utf8")) : new Map();
    } finally {
      await handle.close();
    }
  } catch {
    return new Map();
  }
}

function entriesOf(text: string): Map<string, string> {
  const content: unknown = JSON.parse(text);
  if (typeof content !== "object" || content === null) return new Map();
  return new Map(
    Object.entries(content).filter((entry): entry is [string, string] => {
      const [id, digest] = entry;
      return id.length <= 64 && ID.test(id) && typeof digest === "string";
    }),
  );
}

/** Replaces the record, whole or not at all; an empty one is removed. */
export async function writeMountRecord(directory: string, record: MountRecord): Promise<void> {
  const path = join(directory, MOUNT_RECORD);
  if (record.size === 0) return rm(path, { force: true });
  const beside = `${path}.${randomUUID()}`;
  try {
    await writeFile(beside, `${JSON.stringify(Object.fromEntries(record), undefined, 2)}\n`, {
      flag: "wx",
      mode: 0o600,
      flush: true,
    });
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}
