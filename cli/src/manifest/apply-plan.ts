import type { Change, PlanManifestResponse } from "@openhermit/protocol/manifest/v1/manifest_service";
import type { Cli } from "../cli.ts";
import { CliError } from "../cli-error.ts";
import { ExitCode } from "../exit-code.ts";
import type { Gateway } from "../gateway-client.ts";
import { confirmDeletions } from "./confirm-prune.ts";
import { isStale, planManifest, sendManifest } from "./manifest-calls.ts";
import type { PreparedManifest } from "./prepared-manifest.ts";
import { uploadBundles } from "./upload-bundles.ts";

/** How a plan is carried out. */
export interface ApplyPlanOptions {
  prune: boolean;
  /** The token of a plan that was made before; undefined: of the one that is made and shown now. */
  planToken: string | undefined;
  /** Delete without asking. */
  yes: boolean;
  /** Shows a plan before it is carried out. */
  show(plan: PlanManifestResponse): void;
}

/** What was done. */
export interface AppliedPlan {
  readonly changes: readonly Change[];
  readonly unchangedCount: number;
  readonly planToken: string;
}

/**
 * Plans, shows the plan, and carries out exactly it. When the fleet has moved in between it plans and shows once more, but
 * never what was named by a token. Throws CliError with 5 when a plan is stale; nothing was changed then.
 */
export async function applyPlan(
  cli: Cli,
  gateway: Gateway,
  manifest: PreparedManifest,
  options: ApplyPlanOptions,
): Promise<AppliedPlan> {
  const { prune, planToken: wanted, yes, show } = options;
  for (let attempt = 1; ; attempt += 1) {
    const plan = await planManifest(cli, gateway, manifest, prune);
    const { changes, unchangedCount, planToken } = plan;
    if (wanted !== undefined && planToken !== wanted) throw staleToken(manifest, prune);
    show(plan);
    if (changes.length === 0) return { changes, unchangedCount, planToken };
    if (!yes) {
      const flags = `${manifest.source.flags}${prune ? " --prune" : ""}`;
      await confirmDeletions(cli, changes, `bin/hermit apply ${flags} --plan ${planToken} --yes`);
    }
    try {
      await uploadBundles(cli, gateway, manifest, changes);
      const done = await sendManifest(cli, gateway, manifest, { prune, planToken });
      return { changes: done.changes, unchangedCount: done.unchangedCount, planToken };
    } catch (error) {
      if (!isStale(error)) throw error;
      if (wanted !== undefined) throw staleToken(manifest, prune, error);
      if (attempt === 2) throw contended(manifest, prune, error);
      cli.terminal.say("somebody has changed the fleet meanwhile; nothing was changed yet, and this is the plan now:");
    }
  }
}

function staleToken({ source }: PreparedManifest, prune: boolean, cause?: unknown): CliError {
  return new CliError("the plan is stale; nothing was changed", {
    why: "since it was made the fleet, the manifest, a variable or --prune has changed",
    next: `look at the plan as it is now, and apply its token: ${again("diff", source.flags, prune)}`,
    exitCode: ExitCode.planStale,
    cause,
  });
}

function contended({ source }: PreparedManifest, prune: boolean, cause: unknown): CliError {
  return new CliError("others are changing the fleet; nothing was changed", {
    why: "it changed twice between the plan and the apply",
    next: `apply again when they are done: ${again("apply", source.flags, prune)}; bin/hermit audit --tail 20 shows who`,
    exitCode: ExitCode.planStale,
    cause,
  });
}

const again = (verb: string, flags: string, prune: boolean): string =>
  `bin/hermit ${verb} ${flags}${prune ? " --prune" : ""}`;
