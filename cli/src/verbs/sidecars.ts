import { writeFileSync } from "node:fs";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { CliError } from "../cli-error.ts";
import { outputOption, printValue, type OutputFormat } from "../output/print.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit sidecars token edge-1 --agent four --out join-token
  $ OPENHERMIT_JOIN_TOKEN_FILE=join-token ... start the sidecar on its host

The agents must have "launcher: external" in the manifest.
`;

interface TokenOptions {
  agent: string[];
  out?: string;
  output: OutputFormat;
}

/** `hermit sidecars token SIDECAR`: lets a sidecar that somebody else starts join the fleet. */
export const declareSidecars: DeclareVerb = (program, cli) => {
  const sidecars = program
    .command("sidecars")
    .description("let sidecars of other hosts join")
    .addHelpText("before", EXAMPLES);
  sidecars
    .command("token")
    .argument("<sidecar>", "a name for the sidecar: lower-case letters, digits, dashes")
    .description("make a join token: single use, 10 minutes")
    .requiredOption("--agent <id...>", "an agent it may host; may be repeated")
    .option("--out <file>", "write the token to a new file that only you can read")
    .addOption(outputOption("text", "json", "yaml"))
    .action(async (sidecarId: string, options: TokenOptions) => {
      const gateway = await cli.gateway();
      const { joinToken, expireTime } = await gateway.enrollment.createJoinToken({
        sidecarId,
        agentIds: options.agent,
      });
      const until = expireTime ? timestampDate(expireTime).toISOString() : "";
      if (options.out !== undefined) {
        writeNewFile(options.out, `${joinToken}\n`);
        cli.terminal.say(`token for sidecar ${sidecarId} is in ${options.out}, valid until ${until}, for one join`);
      } else if (options.output === "text") {
        cli.terminal.line(joinToken);
        cli.terminal.say(`valid until ${until}, for one join; it is not shown again`);
      } else {
        await printValue(cli.terminal, options.output, { joinToken, expireTime: until });
      }
    });
};

function writeNewFile(file: string, content: string): void {
  try {
    writeFileSync(file, content, { mode: 0o600, flag: "wx" });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CliError(`the token can't be written to ${file}`, {
      why,
      next: "name a file that does not exist",
      cause: error,
    });
  }
}
