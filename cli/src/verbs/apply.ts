import { toJson } from "@bufbuild/protobuf";
import { text as readAll } from "node:stream/consumers";
import {
  ApplyManifestResponseSchema,
  ChangeAction,
  type ApplyManifestResponse,
} from "@openhermit/protocol/manifest/v1/manifest_service";
import type { Cli } from "../cli.ts";
import { applyManifest, readManifestFile, type ManifestFile } from "../manifest/apply-manifest.ts";
import { outputOption, printValue, type OutputFormat } from "../output/print.ts";
import { plainLine } from "../output/plain-text.ts";
import type { Terminal } from "../output/terminal.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit apply -f agents.yaml
  $ hermit apply -f agents.yaml --dry-run
  $ generate-fleet | hermit apply -f -
`;

/** `hermit apply -f FILE`. */
export const declareApply: DeclareVerb = (program, cli) => {
  program
    .command("apply")
    .description("make agents, providers and MCP servers what a manifest says")
    .addHelpText("before", EXAMPLES)
    .requiredOption("-f, --file <file>", "the manifest, YAML; - reads stdin")
    .option("--dry-run", "say what would change and change nothing")
    .addOption(outputOption("text", "json", "jsonl", "yaml", "name"))
    .action(async (options: { file: string; dryRun?: boolean; output: OutputFormat }) => {
      const manifest = options.file === "-" ? await manifestFromStdin(cli) : readManifestFile(options.file);
      const dryRun = options.dryRun === true;
      const response = await applyManifest(await cli.gateway(), cli.terminal, manifest, { dryRun });
      if (options.output === "text") printChanges(cli.terminal, manifest, response, dryRun);
      else if (options.output === "name") response.changes.forEach((change) => cli.terminal.line(change.resourceId));
      else await printValue(cli.terminal, options.output, toJson(ApplyManifestResponseSchema, response));
    });
};

async function manifestFromStdin(cli: Cli): Promise<ManifestFile> {
  return { name: "stdin", text: await readAll(cli.stdin), baseDirectory: process.cwd() };
}

function printChanges(
  terminal: Terminal,
  manifest: ManifestFile,
  response: ApplyManifestResponse,
  dryRun: boolean,
): void {
  const { changes, unchangedCount } = response;
  for (const { action, resourceType, resourceId, fields } of changes) {
    const sign = action === ChangeAction.CREATE ? terminal.paint("green", "+") : terminal.paint("yellow", "~");
    terminal.line(`${sign} ${resourceType} ${plainLine(resourceId)}`);
    for (const { path, before, after } of fields) {
      terminal.line(`    ${plainLine(path)}: ${shortValue(before)} → ${shortValue(after)}`);
    }
  }
  if (changes.length === 0) {
    terminal.line(`No changes. The fleet matches ${manifest.name}.`);
    return;
  }
  const created = changes.filter((change) => change.action === ChangeAction.CREATE).length;
  const counts = [created, changes.length - created, unchangedCount] as const;
  terminal.line(
    dryRun
      ? `Would be: ${counts[0]} to create, ${counts[1]} to update, ${counts[2]} unchanged.`
      : `Applied: ${counts[0]} created, ${counts[1]} updated, ${counts[2]} unchanged.`,
  );
}

const shortValue = (value: string): string => (value === "" ? "(none)" : plainLine(value, 80));
