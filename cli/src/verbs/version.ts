import { readFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "../config.ts";
import { readGatewayFile } from "../find-gateway.ts";
import { outputOption, printValue, type OutputFormat } from "../output/print.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit version`: of this command, of Node and of the gateway that last ran in this home. */
export const declareVersion: DeclareVerb = (program, cli) => {
  program
    .command("version")
    .description("print the versions of hermit, Node and the gateway")
    .addOption(outputOption("text", "json", "yaml"))
    .action(async (options: { output: OutputFormat }) => {
      const { version } = JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8")) as { version: string };
      const gateway = readGatewayFile(cli.config.home)?.version;
      if (options.output !== "text") {
        const value = { hermit: version, node: process.versions.node, ...(gateway !== undefined && { gateway }) };
        await printValue(cli.terminal, options.output, value);
        return;
      }
      cli.terminal.line(`hermit ${version}`);
      cli.terminal.line(`node ${process.versions.node}`);
      if (gateway !== undefined) cli.terminal.line(`gateway ${gateway}`);
    });
};
