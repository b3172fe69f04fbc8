import { basename, dirname, resolve } from "node:path";
import { addWaitOptions, type WaitOptions } from "../applied/wait-options.ts";
import { agentTargetOption, concernedBy } from "../catalog/agent-target.ts";
import { listAllMcpServers } from "../catalog/catalog-lists.ts";
import { readForeignServers } from "../catalog/foreign-servers.ts";
import { manifestOf, planImport } from "../catalog/import-servers.ts";
import { waitForChange } from "../catalog/wait-for-change.ts";
import { readManifestSource } from "../manifest/manifest-source.ts";
import { printPlanData } from "../manifest/plan-output.ts";
import { appliedSummary, changeLines, countChanges, planSummary } from "../manifest/plan-text.ts";
import { outputOption, type OutputFormat } from "../output/print.ts";
import { plainLine } from "../output/plain-text.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit mcp import .mcp.json --agent '*'
  $ hermit mcp import ~/.cursor/mcp.json --dry-run
  $ hermit mcp import .vscode/mcp.json --agent one --wait

Reads "mcpServers" of other tools, and "servers" of VS Code: command, args, env,
type, url and headers. \${NAME} and \${env:NAME} are taken from the environment;
\${secret.NAME} is stored as it is, and replaced at the sidecar alone.
A server that is there already keeps its agents, unless --agent says otherwise.
`;

interface ImportOptions extends WaitOptions {
  agent?: string[];
  dryRun?: boolean;
  output: OutputFormat;
}

/** `hermit mcp import FILE`. */
export const declareMcpImport: DeclareVerb = (mcp, cli) => {
  const command = mcp
    .command("import")
    .argument("<file>", "the JSON file; - reads stdin")
    .description("add the MCP servers of another tool's configuration")
    .addHelpText("before", EXAMPLES)
    .addOption(agentTargetOption("who uses them; '*' is every agent; may be repeated"))
    .option("--dry-run", "say what would change and change nothing")
    .addOption(outputOption("text", "json", "jsonl", "yaml", "name"));
  addWaitOptions(command).action(async (file: string, options: ImportOptions) => {
    const { terminal } = cli;
    const { label, files } = await readManifestSource("mcp import", cli.stdin, [file]);
    const [first] = files;
    if (!first) return;
    const { servers, notes } = readForeignServers(first.text, label, cli.config.environment);
    for (const note of notes) terminal.say(`${terminal.paintWords("yellow", "note:")} ${plainLine(note)}`);
    const gateway = await cli.gateway();
    const existing = await listAllMcpServers(gateway);
    const wanted = manifestOf(servers, {
      existing,
      agents: options.agent,
      file: label,
      baseDirectory: projectOf(first.baseDirectory),
    });
    const plan = await planImport(gateway, wanted);
    const counts = countChanges(plan.changes, plan.unchangedCount);
    const isText = options.output === "text";
    if (isText) for (const line of changeLines(terminal, plan.changes)) terminal.line(line);
    else if (options.output === "name") for (const { resourceId } of plan.changes) terminal.line(resourceId);
    else await printPlanData(terminal, options.output, plan);
    if (plan.changes.length === 0) {
      if (isText) terminal.line(`No changes. The servers are as ${label} says.`);
    } else if (options.dryRun === true) {
      if (isText) terminal.line(planSummary(counts, plan.planToken));
    } else {
      await gateway.manifest.applyManifest({ source: wanted, planToken: plan.planToken });
      if (isText) terminal.line(appliedSummary(counts));
    }
    if (options.dryRun === true) return;
    const ids = servers.map(({ id }) => id);
    const agents = options.agent ?? existing.filter(({ id }) => ids.includes(id)).flatMap((server) => server.agents);
    if (agents.length === 0) {
      terminal.say(
        `No agent uses ${ids.length === 1 ? "it" : "them"} yet: bin/hermit mcp enable ${ids[0]} --agent '*'`,
      );
      return;
    }
    await waitForChange(cli, gateway, { agentIds: concernedBy(agents), wait: options, mcpServerIds: ids });
  });
};

/** Tools keep their file in the project's folder, or in a hidden one of their own in it. */
const projectOf = (folder: string): string =>
  basename(folder).startsWith(".") ? dirname(resolve(folder)) : resolve(folder);
