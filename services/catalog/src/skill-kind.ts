import type { Queryable } from "@openhermit/postgres";
import type { Skill } from "@openhermit/protocol/catalog/v1/skill";
import { readBundleNames, touchBundles } from "./bundle-store.ts";
import type { ItemChange, ItemKind } from "./catalog-item.ts";
import { bundleMissing, checkSkillName, desiredSkill, skillConflict, skillFields, skillNotFound } from "./skill.ts";
import { deleteSkills, listSkills, readSkills, writeSkills } from "./skill-store.ts";

/** Skills. */
export const skillKind: ItemKind<Skill> = {
  resource: "skills",
  targetType: "skill",
  noun: "skill",
  idField: "skill_id",
  desired: desiredSkill,
  isSame: (before, after) => before.digest === after.digest,
  fieldsOf: skillFields,
  notFound: skillNotFound,
  conflict: skillConflict,
  prepare: checkBundles,
  read: readSkills,
  list: listSkills,
  write: writeSkills,
  remove: deleteSkills,
};

/**
 * Checks that the bundles are stored and are those of skills of that name. The new ones are kept until the transaction has
 * named them, and the old ones for another day: who has a snapshot with one can still fetch it. In a dry run a bundle may be
 * missing: who applies puts it first.
 */
async function checkBundles(
  tx: Queryable,
  changes: readonly ItemChange<Skill>[],
  { dryRun }: { dryRun: boolean },
): Promise<void> {
  const moved = changes.filter(({ before, after }) => before?.digest !== after?.digest);
  if (moved.length === 0) return;
  const digests = moved.flatMap(({ before, after }) => [before?.digest ?? [], after?.digest ?? []].flat());
  const names = await (dryRun ? readBundleNames : touchBundles)(tx, [...new Set(digests)]);
  for (const { after } of moved) {
    if (after === undefined) continue;
    const name = names.get(after.digest);
    if (name !== undefined) checkSkillName(after, name);
    else if (!dryRun) throw bundleMissing(after);
  }
}
