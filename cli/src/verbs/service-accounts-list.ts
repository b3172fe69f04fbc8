import { ServiceAccountSchema } from "@openhermit/protocol/access/v1/service_account";
import { accessClients } from "../access/access-clients.ts";
import { listAllServiceAccounts, serviceAccountColumns } from "../access/service-account-view.ts";
import { outputOption, printMessages, type OutputFormat } from "../output/print.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit service-accounts list`. */
export const declareServiceAccountsList: DeclareVerb = (accounts, cli) => {
  accounts
    .command("list")
    .alias("ls")
    .description("list all service accounts")
    .addOption(outputOption("table", "json", "jsonl", "yaml", "name"))
    .action(async (options: { output: OutputFormat }) => {
      await printMessages(cli.terminal, options.output, {
        schema: ServiceAccountSchema,
        messages: await listAllServiceAccounts(accessClients(await cli.gateway())),
        columns: serviceAccountColumns(cli.terminal),
        name: ({ id }) => id,
        none: "No service accounts. Make one: bin/hermit service-accounts create ACCOUNT",
      });
    });
};
