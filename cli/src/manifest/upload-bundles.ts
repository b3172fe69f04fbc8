import { ChangeAction, type Change } from "@openhermit/protocol/manifest/v1/manifest_service";
import { createProgressLine } from "../applied/progress-line.ts";
import type { Cli } from "../cli.ts";
import type { Gateway } from "../gateway-client.ts";
import { problemsError, problemsOf } from "./manifest-problems.ts";
import { shortPath } from "./manifest-source.ts";
import type { PreparedManifest } from "./prepared-manifest.ts";

/** For 10 MiB over a slow line, in milliseconds. */
const TIMEOUT_MS = 300_000;
const QUIET_MS = 1000;

/**
 * Stores the files of the skills that a plan creates or changes, one after the other; says how far it is once it takes
 * longer than a second. Throws CliError when a skill is no longer the one of the plan.
 */
export async function uploadBundles(
  cli: Cli,
  gateway: Gateway,
  { source, skills }: PreparedManifest,
  changes: readonly Change[],
  signal?: AbortSignal,
): Promise<void> {
  const wanted = changes.flatMap(({ action, resourceType, resourceId }) => {
    const changed = action === ChangeAction.CREATE || action === ChangeAction.UPDATE;
    const skill = resourceType === "skill" && changed ? skills.get(resourceId) : undefined;
    return skill ? [skill] : [];
  });
  if (wanted.length === 0) return;
  const { readAgain } = await import("./local-skill.ts");
  const line = createProgressLine(cli.terminal);
  let words = "";
  let quiet = true;
  const timer = setTimeout(() => {
    quiet = false;
    line.show(words);
  }, QUIET_MS);
  try {
    for (const [index, skill] of wanted.entries()) {
      words = `sending skill ${skill.id} (${index + 1} of ${wanted.length}) ...`;
      if (!quiet) line.show(words);
      const files = await readAgain(skill);
      const request = { bundle: { files: files.map((file) => ({ ...file })) } };
      await gateway.skills
        .putBundle(request, { timeoutMs: TIMEOUT_MS, ...(signal && { signal }) })
        .catch((error: unknown) => {
          const problems = problemsOf(error).map((problem) => ({
            ...problem,
            fileName: `${shortPath(skill.path)}/${problem.fileName}`,
          }));
          throw problems.length === 0 ? error : problemsError(cli.terminal, source, problems, error);
        });
    }
  } finally {
    clearTimeout(timer);
    line.clear();
  }
}
