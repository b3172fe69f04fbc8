import { join } from "node:path";
import { Option } from "commander";
import { repositoryRoot, type CliConfig } from "../config.ts";
import { listed } from "../listed.ts";
import { runUp } from "../up/run-up.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit up                                    the example fleet
  $ hermit up -f agents.yaml                     your own, or a folder of files
  $ hermit up --listen 127.0.0.1:9000 --home /var/lib/hermit
  $ hermit up --database-url postgres://user@db/openhermit

Runs a gateway, its PostgreSQL and a sidecar for each agent, until Ctrl-C.
The state is in the home and survives.
`;

interface UpOptions {
  file?: string[];
  listen?: string;
  databaseUrl?: string;
  verbose?: boolean;
}

/** `hermit up`: the whole fleet on this host. */
export const declareUp: DeclareVerb = (program, cli) => {
  program
    .command("up")
    .description("run the fleet on this host")
    .addHelpText("before", EXAMPLES)
    .addOption(
      new Option(
        "-f, --file <file>",
        "a file or folder of the manifest, may be repeated\n(default: examples/fleet/agents.yaml)",
      ).argParser(listed((path: string) => path)),
    )
    .option("--listen <host:port>", "where the gateway listens (OPENHERMIT_LISTEN; 127.0.0.1:8780)")
    .option("--database-url <url>", "a PostgreSQL to use instead of the embedded one\n(OPENHERMIT_DATABASE_URL)")
    .option("--verbose", "show each step with its time")
    .action(async (options: UpOptions) => {
      await runUp(cli, {
        manifestFiles: options.file ?? [join(repositoryRoot, "examples/fleet/agents.yaml")],
        environment: environmentOf(cli.config, options),
        verbose: options.verbose === true,
      });
    });
};

/** The environment of the gateway: this one, with the flags in their place. */
function environmentOf(config: CliConfig, { listen, databaseUrl }: UpOptions): Record<string, string | undefined> {
  return {
    ...config.environment,
    NODE_COMPILE_CACHE: config.environment["NODE_COMPILE_CACHE"] ?? join(repositoryRoot, ".cache/node"),
    ...(listen !== undefined && { OPENHERMIT_LISTEN: listen }),
    ...(databaseUrl !== undefined && { OPENHERMIT_DATABASE_URL: databaseUrl }),
  };
}
