import type { DeclareVerb } from "../declare-verb.ts";
import { exportToFolder, exportToStdout } from "../manifest/export-manifest.ts";

const EXAMPLES = `Examples:
  $ hermit export > agents.yaml                  the fleet as a manifest
  $ hermit export one two                        two agents and what they use
  $ hermit export -d fleet/                      with the files of the skills

Applied to an empty fleet it gives the same one. Values of environments and
headers stand in it as they are: keep it as you keep them.
`;

interface ExportOptions {
  dir?: string;
  force?: boolean;
}

/** `hermit export [AGENT...]`. */
export const declareExport: DeclareVerb = (program, cli) => {
  program
    .command("export")
    .argument("[agent...]", "only these agents, with what they use")
    .description("write the manifest of what is")
    .addHelpText("before", EXAMPLES)
    .option("-d, --dir <dir>", "write agents.yaml and skills/ into this folder")
    .option("--force", "overwrite what is in the folder")
    .action(async (agentIds: string[], { dir, force = false }: ExportOptions) => {
      const gateway = await cli.gateway();
      if (dir === undefined) await exportToStdout(cli, gateway, agentIds);
      else await exportToFolder(cli, gateway, agentIds, { directory: dir, force });
    });
};
