import { Code, ConnectError } from "@connectrpc/connect";
import { resourceExhausted } from "@openhermit/errors";
import type { Queryable } from "@openhermit/postgres";
import type { SkillDescription } from "@openhermit/protocol/catalog/v1/skill";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { ManifestProblemsSchema } from "@openhermit/protocol/manifest/v1/manifest_service";
import { checkSkill, MAX_BUNDLE_BYTES, packBundle, type BundleFile, type SkillProblem } from "@openhermit/skill-bundle";
import { writeBundle } from "./bundle-store.ts";

/**
 * Checks the files of a skill and stores them; again, it keeps them for another day. Errors: BUNDLE_TOO_LARGE; SKILL_INVALID
 * with every problem.
 */
export async function putBundle(
  db: Queryable,
  files: readonly BundleFile[],
): Promise<{ digest: string; description: SkillDescription }> {
  const sizeBytes = files.reduce((sum, { content }) => sum + content.length, 0);
  if (sizeBytes > MAX_BUNDLE_BYTES) {
    const fields = { size_bytes: String(sizeBytes), limit_bytes: String(MAX_BUNDLE_BYTES) };
    throw resourceExhausted("BUNDLE_TOO_LARGE", `the files of the skill have ${sizeBytes} bytes together`, {
      hint: `At most ${MAX_BUNDLE_BYTES / 1024 / 1024} MiB are allowed. Leave out what the agent does not read.`,
      fields,
    });
  }
  const { problems, description } = checkSkill(files);
  if (problems.length > 0 || description === undefined) throw invalidSkill(problems);
  const { data, digest } = packBundle(files);
  await writeBundle(db, { digest, data, description, sizeBytes, fileCount: files.length });
  return { digest, description };
}

/** A ConnectError rather than a MeshError, since it carries the list of problems as a second detail. */
function invalidSkill(problems: readonly SkillProblem[]): ConnectError {
  const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
  const hint = "Mend what is listed and put the skill again; nothing was changed.";
  return new ConnectError(`the skill has ${count}`, Code.InvalidArgument, undefined, [
    { desc: ErrorDetailSchema, value: { reason: "SKILL_INVALID", hint } },
    {
      desc: ManifestProblemsSchema,
      value: {
        problems: problems.map(({ path, line, message, hint: todo }) => ({
          fileName: path,
          line,
          message,
          hint: todo,
        })),
      },
    },
  ]);
}
