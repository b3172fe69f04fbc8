import { toJson } from "@bufbuild/protobuf";
import { DriftSchema } from "@openhermit/protocol/manifest/v1/manifest_service";
import type { DeclareVerb } from "../declare-verb.ts";
import { ExitCode } from "../exit-code.ts";
import { countDrifts, driftLines, driftSummary } from "../manifest/drift-text.ts";
import { detectDrift } from "../manifest/manifest-calls.ts";
import { addManifestOption, type ManifestOption } from "../manifest/manifest-option.ts";
import { printList } from "../manifest/plan-output.ts";
import { prepareManifest } from "../manifest/prepared-manifest.ts";
import { outputOption, type OutputFormat } from "../output/print.ts";

const EXAMPLES = `Examples:
  $ hermit drift -f agents.yaml                  where the fleet has moved
  $ hermit drift -f fleet/ -o json | jq .counts

  +  only in the fleet    -  missing in the fleet
  ~  differs: what the manifest says → what is, who changed it, and when

Ends with 0 when nothing differs, 2 when something does, 1 for an error,
4 when a login is needed.
`;

interface DriftOptions extends ManifestOption {
  output: OutputFormat;
}

/** `hermit drift -f FILE`. */
export const declareDrift: DeclareVerb = (program, cli) => {
  const drift = program
    .command("drift")
    .description("see where the fleet differs from a manifest, and who did it")
    .addHelpText("before", EXAMPLES);
  addManifestOption(drift)
    .addOption(outputOption("text", "json", "jsonl", "yaml"))
    .action(async ({ file, output }: DriftOptions) => {
      const { terminal } = cli;
      const manifest = await prepareManifest(cli, "drift", file);
      const found = await detectDrift(cli, await cli.gateway(), manifest);
      const counts = countDrifts(found);
      const { drifts } = found;
      if (output !== "text") {
        const items = drifts.map((one) => toJson(DriftSchema, one));
        await printList(terminal, output, "drifts", items, { counts: { ...counts } });
      } else if (drifts.length === 0) {
        terminal.line(`No drift. The fleet matches ${manifest.source.label}.`);
      } else {
        for (const line of driftLines(terminal, drifts)) terminal.line(line);
        terminal.line(driftSummary(counts));
      }
      if (drifts.length > 0) cli.setExitCode(ExitCode.differs);
    });
};
