import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CliError } from "../cli-error.ts";
import { repositoryRoot } from "../config.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit schema --out agents.schema.json
  $ hermit schema | jq '.properties | keys'

With this as its first line an editor completes and checks a manifest:
  # yaml-language-server: $schema=./agents.schema.json
`;

/** `hermit schema`: needs no gateway. */
export const declareSchema: DeclareVerb = (program, cli) => {
  program
    .command("schema")
    .description("print the JSON Schema of manifests, for editors")
    .addHelpText("before", EXAMPLES)
    .option("--out <file>", "write it to a file")
    .action(({ out }: { out?: string }) => {
      const schema = readSchema();
      if (out === undefined) return cli.terminal.write(schema);
      try {
        writeFileSync(out, schema);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        const why = code === "ENOENT" ? "its folder does not exist" : String(code);
        throw new CliError(`the schema can't be written to ${out}`, { why, next: "name another file", cause: error });
      }
      cli.terminal.say(`written to ${out}`);
    });
};

function readSchema(): string {
  const path = join(repositoryRoot, "docs/agents.schema.json");
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : undefined;
    throw new CliError("this installation has no schema of manifests", { why, next: "install it anew", cause: error });
  }
}
