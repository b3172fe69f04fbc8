import { TokenSchema } from "@openhermit/protocol/access/v1/token";
import { accessClients } from "../access/access-clients.ts";
import { listAllTokens, tokenColumns } from "../access/token-view.ts";
import { outputOption, printMessages, type OutputFormat } from "../output/print.ts";
import type { DeclareVerb } from "../declare-verb.ts";

interface ListOptions {
  serviceAccount?: string;
  all?: boolean;
  output: OutputFormat;
}

/** `hermit tokens list`. */
export const declareTokensList: DeclareVerb = (tokens, cli) => {
  tokens
    .command("list")
    .alias("ls")
    .description("list tokens, newest first; without being an admin your own")
    .option("--service-account <id>", "only of this account")
    .option("-a, --all", "also those that were revoked or have expired, for 30 days")
    .addOption(outputOption("table", "json", "jsonl", "yaml", "name"))
    .action(async (options: ListOptions) => {
      const { terminal } = cli;
      const clients = accessClients(await cli.gateway());
      const account = options.serviceAccount === undefined ? "" : `--service-account ${options.serviceAccount} `;
      await printMessages(terminal, options.output, {
        schema: TokenSchema,
        messages: await listAllTokens(clients, {
          serviceAccountId: options.serviceAccount ?? "",
          includeEnded: options.all === true,
        }),
        columns: tokenColumns(terminal),
        name: ({ accessor }) => accessor,
        none: `No tokens. Make one: bin/hermit tokens create ${account}--scope agents:read`,
      });
    });
};
