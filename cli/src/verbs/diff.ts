import type { DeclareVerb } from "../declare-verb.ts";
import { ExitCode } from "../exit-code.ts";
import { planManifest } from "../manifest/manifest-calls.ts";
import { addManifestOption, type ManifestOption } from "../manifest/manifest-option.ts";
import { printPlanData, printPlanText } from "../manifest/plan-output.ts";
import { prepareManifest } from "../manifest/prepared-manifest.ts";
import { outputOption, type OutputFormat } from "../output/print.ts";

const EXAMPLES = `Examples:
  $ hermit diff -f agents.yaml                   what an apply would change
  $ hermit diff -f fleet/ -f more.yaml           several files are one manifest
  $ hermit diff -f agents.yaml --prune           also what it would delete
  $ hermit diff -f agents.yaml -o json | jq .counts

Ends with 0 when nothing would change, 2 when something would, 1 for an
error, 4 when a login is needed. The last line names the plan: with
apply --plan TOKEN it is carried out exactly so, or not at all.
`;

interface DiffOptions extends ManifestOption {
  prune?: boolean;
  output: OutputFormat;
}

/** `hermit diff -f FILE`. */
export const declareDiff: DeclareVerb = (program, cli) => {
  const diff = program
    .command("diff")
    .description("see what applying a manifest would change")
    .addHelpText("before", EXAMPLES);
  addManifestOption(diff)
    .option("--prune", "also delete what the manifest does not name")
    .addOption(outputOption("text", "json", "jsonl", "yaml"))
    .action(async ({ file, prune = false, output }: DiffOptions) => {
      const manifest = await prepareManifest(cli, "diff", file);
      const plan = await planManifest(cli, await cli.gateway(), manifest, prune);
      if (output === "text") printPlanText(cli.terminal, manifest.source.label, plan);
      else await printPlanData(cli.terminal, output, plan);
      if (plan.changes.length > 0) cli.setExitCode(ExitCode.differs);
    });
};
