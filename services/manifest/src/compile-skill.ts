import { create } from "@bufbuild/protobuf";
import { SkillSchema, type Skill } from "@openhermit/protocol/catalog/v1/skill";
import { compileAssignment } from "./compile-assignment.ts";
import type { CompileContext } from "./compile-context.ts";
import { DIGEST, type SkillSource } from "./schema-resources.ts";

/** A skill as a message, and its problems. */
export function compileSkill(
  id: string,
  source: SkillSource,
  agentIds: ReadonlySet<string>,
  context: CompileContext,
): Skill {
  const { problems, checkRules } = context;
  const path = ["skills", id];
  const assignment = compileAssignment(`skill "${id}"`, path, source, agentIds, context);
  const message = create(SkillSchema, { id, digest: digestOf(id, source, context), ...assignment });
  if (message.digest !== "") checkRules(SkillSchema, message, path, problems);
  return message;
}

/** The digest of the skill's files; empty with a problem. */
function digestOf(id: string, source: SkillSource, { bundles, problems }: CompileContext): string {
  const path = ["skills", id];
  if (source.path !== undefined && source.digest !== undefined) {
    problems.add([...path, "digest"], `skill "${id}" has both path and digest`, "keep one of the two", "key");
    return "";
  }
  if (source.digest !== undefined) {
    if (DIGEST.test(source.digest)) return source.digest;
    const hint = "sha256: and 64 hexadecimal digits; hermit export writes it";
    problems.add([...path, "digest"], "not the digest of a skill's files", hint);
    return "";
  }
  if (source.path === undefined) {
    if (problems.touches([...path, "path"]) || problems.touches([...path, "digest"])) return "";
    const hint = "add path: for its folder, or digest: for files that the gateway has";
    problems.add(path, `skill "${id}" has neither path nor digest`, hint, "key");
    return "";
  }
  if (source.path === "") {
    problems.add([...path, "path"], "expected a folder, found nothing", "for example ./skills/report");
    return "";
  }
  const sent = Object.hasOwn(bundles, id) ? bundles[id] : undefined;
  if (sent !== undefined) return sent;
  const hint = "hermit sends them by itself; a program puts them with PutBundle and names the digest in bundles";
  problems.add([...path, "path"], `skill "${id}": its files were not sent`, hint);
  return "";
}
