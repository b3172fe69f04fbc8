import { Option } from "commander";
import { addWaitOptions, type WaitOptions } from "../applied/wait-options.ts";
import type { Cli } from "../cli.ts";
import type { DeclareVerb } from "../declare-verb.ts";
import { ExitCode } from "../exit-code.ts";
import { applyPlan } from "../manifest/apply-plan.ts";
import { followApply } from "../manifest/follow-apply.ts";
import { planManifest } from "../manifest/manifest-calls.ts";
import { addManifestOption, type ManifestOption } from "../manifest/manifest-option.ts";
import { printPlanData, printPlanText } from "../manifest/plan-output.ts";
import { appliedSummary, countChanges } from "../manifest/plan-text.ts";
import { prepareManifest } from "../manifest/prepared-manifest.ts";
import { outputOption, type OutputFormat } from "../output/print.ts";

const EXAMPLES = `Examples:
  $ hermit apply -f agents.yaml                  show the plan and do it
  $ hermit apply -f fleet/ --wait                until all agents have it
  $ hermit apply -f agents.yaml --plan TOKEN     the plan of a diff, or nothing
  $ hermit apply -f agents.yaml --prune          also delete what it lacks
  $ generate-fleet | hermit apply -f -

All of it is done, or nothing. Ends with 0; 1 for an error, and when with
--wait not all agents have applied it in time or are connected to the MCP
servers that changed; 4 when a login is needed; 5 when the plan is stale.
`;

interface ApplyOptions extends ManifestOption, WaitOptions {
  plan?: string;
  prune?: boolean;
  yes?: boolean;
  dryRun?: boolean;
  output: OutputFormat;
}

/** `hermit apply -f FILE`. */
export const declareApply: DeclareVerb = (program, cli) => {
  const apply = program
    .command("apply")
    .description("make the fleet what a manifest says")
    .addHelpText("before", EXAMPLES);
  addManifestOption(apply)
    .addOption(new Option("--dry-run", "show the plan and change nothing").conflicts("plan"))
    .option("--plan <token>", "carry out this plan of a diff, or nothing")
    .option("--prune", "delete what the manifest does not name; asks first")
    .option("-y, --yes", "do not ask before deleting");
  addWaitOptions(apply)
    .addOption(outputOption("text", "json", "jsonl", "yaml", "name"))
    .action((options: ApplyOptions) => runApply(cli, options));
};

async function runApply(cli: Cli, options: ApplyOptions): Promise<void> {
  const { terminal } = cli;
  const { output, prune = false, yes = false } = options;
  const manifest = await prepareManifest(cli, "apply", options.file);
  const { label } = manifest.source;
  const gateway = await cli.gateway();
  if (options.dryRun === true) {
    const plan = await planManifest(cli, gateway, manifest, prune);
    if (output === "text") printPlanText(terminal, label, plan);
    else await printPlanData(terminal, output, plan);
    return;
  }
  const done = await applyPlan(cli, gateway, manifest, {
    prune,
    yes,
    planToken: options.plan,
    show: (plan) => {
      if (output === "text") printPlanText(terminal, label, plan);
    },
  });
  const { changes, unchangedCount } = done;
  if (output === "text" && changes.length > 0) terminal.line(appliedSummary(countChanges(changes, unchangedCount)));
  const outcome = await followApply(cli, gateway, changes, options);
  if (output !== "text") await printPlanData(terminal, output, done, { ...outcome });
  if (outcome?.allApplied === false || outcome?.allConnected === false) cli.setExitCode(ExitCode.error);
}
