import { create, fromBinary } from "@bufbuild/protobuf";
import type { BundleFile } from "@openhermit/skill-bundle";
import { BundleSchema, SkillSchema, type Skill } from "@openhermit/protocol/catalog/v1/skill";
import { errorDetail } from "../error-report.ts";
import type { Gateway } from "../gateway-client.ts";
import { withRetries } from "../settings/setting-changes.ts";
import { checkFolder, noSkill, type CheckedSkill } from "./check-folder.ts";
import { filesText, skillRows } from "./skill-view.ts";

/** Sending 10 MiB takes a while on a slow line. */
const UPLOAD_TIMEOUT_MS = 300_000;

/** What became of a skill. */
export interface PutSkill {
  readonly skill: Skill;
  /** As lines of title and value; undefined when there was none. */
  readonly before: readonly (readonly [string, string])[] | undefined;
  readonly after: readonly (readonly [string, string])[];
  /** Which files changed. */
  readonly notes: readonly (readonly [string, string])[];
}

/**
 * Reads, checks and stores a skill. One that is there keeps its agents unless `agents` says otherwise. Files are sent only
 * when they differ. Throws CliError with every problem of the folder.
 */
export async function putSkill(
  gateway: Gateway,
  path: string,
  agents: readonly string[] | undefined,
): Promise<PutSkill> {
  const local = await checkFolder(path);
  const { description, digest } = local;
  if (!description) throw noSkill(path, local.problems);
  let isSent = false;
  return withRetries(async () => {
    const current = await findSkill(gateway, description.name);
    const changes = current ? await fileChanges(gateway, current, local) : "";
    if (current?.digest !== digest && !isSent) {
      await gateway.skills.putBundle(
        { bundle: fromBinary(BundleSchema, local.data) },
        { timeoutMs: UPLOAD_TIMEOUT_MS },
      );
      isSent = true;
    }
    const wanted = create(SkillSchema, {
      id: description.name,
      digest,
      agents: agents ? [...new Set(agents)] : (current?.agents ?? []),
      disabledAgents: (current?.disabledAgents ?? []).filter((agent) => agents?.includes(agent) !== true),
      etag: current?.etag ?? "",
    });
    const { skill = wanted } = await gateway.skills.putSkill({ skill: wanted });
    return {
      skill,
      before: current && skillRows(current),
      after: skillRows(skill),
      notes: changes === "" ? [] : [["Changed", changes]],
    };
  });
}

async function findSkill({ skills }: Gateway, skillId: string): Promise<Skill | undefined> {
  try {
    return (await skills.getSkill({ skillId })).skill;
  } catch (error) {
    if (errorDetail(error)?.reason === "SKILL_NOT_FOUND") return undefined;
    throw error;
  }
}

/** Which files come, go and differ: `+ scripts/new.sh, ~ SKILL.md`. Empty when none does. */
async function fileChanges({ skills }: Gateway, current: Skill, local: CheckedSkill): Promise<string> {
  if (current.digest === local.digest) return "";
  const { bundle } = await skills.getBundle({ skillId: current.id });
  const stored = new Map((bundle?.files ?? []).map((file) => [file.path, file]));
  const changes: string[] = [];
  for (const file of local.files) {
    const before = stored.get(file.path);
    stored.delete(file.path);
    if (!before) changes.push(`+ ${file.path}`);
    else if (!isSame(before, file)) changes.push(`~ ${file.path}`);
  }
  changes.push(...[...stored.keys()].map((path) => `- ${path}`));
  const named = changes.toSorted((one, other) => (one.slice(2) < other.slice(2) ? -1 : 1)).slice(0, MAX_NAMED);
  const more = changes.length - named.length;
  return [...named, ...(more > 0 ? [`and ${filesText(more)} more`] : [])].join(", ");
}

const MAX_NAMED = 20;

const isSame = (one: BundleFile, other: BundleFile): boolean =>
  one.executable === other.executable && Buffer.compare(one.content, other.content) === 0;
