import { create } from "@bufbuild/protobuf";
import { conflict, failedPrecondition, invalidArgument, notFound, type MeshError } from "@openhermit/errors";
import { SkillSchema, type Skill } from "@openhermit/protocol/catalog/v1/skill";
import { desiredAssignment } from "./assignment.ts";
import { assignmentFields, plainValue, type FieldValue } from "./field-difference.ts";

/** The skill as a caller asks for it: without output-only fields, its assignment in order. Errors: ASSIGNMENT_CONTRADICTORY. */
export function desiredSkill(message: Skill): Skill {
  const { id, digest } = message;
  const { agents, disabledAgents } = desiredAssignment(id, message);
  return create(SkillSchema, { id, digest, agents: [...agents], disabledAgents: [...disabledAgents] });
}

/** All that a skill sets, by the keys of a plan. */
export function skillFields({ digest, agents, disabledAgents }: Skill): Map<string, FieldValue> {
  return new Map([["digest", plainValue(digest)], ...assignmentFields(agents, disabledAgents)]);
}

/** The error for a skill that does not exist. */
export function skillNotFound(id: string): MeshError {
  return notFound("SKILL_NOT_FOUND", `skill "${id}" does not exist`, {
    hint: "List the skills for their ids.",
    fields: { skill_id: id },
  });
}

/** The error for a skill that was changed since the caller read it. */
export function skillConflict(id: string, what: string): MeshError {
  return conflict("SKILL_CHANGED", `skill "${id}" ${what} in between`, {
    hint: "Read it again, then repeat the change.",
    fields: { skill_id: id },
  });
}

/** The error for a skill whose bundle is not stored, or no longer. */
export function bundleMissing({ id, digest }: Skill): MeshError {
  return failedPrecondition("BUNDLE_MISSING", `the bundle ${digest} of skill "${id}" is not stored`, {
    hint: "Put the bundle, then repeat the change.",
    fields: { skill_id: id, digest },
  });
}

/** Throws SKILL_NAME_DIFFERS unless the skill is called as its SKILL.md says. */
export function checkSkillName({ id, digest }: Skill, name: string): void {
  if (id === name) return;
  throw invalidArgument("SKILL_NAME_DIFFERS", `the SKILL.md of skill "${id}" says that its name is "${name}"`, {
    hint: "Give both the same name.",
    fields: { skill_id: id, digest, name },
  });
}
