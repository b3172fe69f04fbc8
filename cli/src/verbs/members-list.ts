import { MemberSchema } from "@openhermit/protocol/access/v1/member";
import { accessClients } from "../access/access-clients.ts";
import { listAllMembers, memberColumns } from "../access/member-view.ts";
import { outputOption, printMessages, type OutputFormat } from "../output/print.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit members list`. */
export const declareMembersList: DeclareVerb = (members, cli) => {
  members
    .command("list")
    .alias("ls")
    .description("list all members")
    .addOption(outputOption("table", "json", "jsonl", "yaml", "name"))
    .action(async (options: { output: OutputFormat }) => {
      const clients = accessClients(await cli.gateway());
      await printMessages(cli.terminal, options.output, {
        schema: MemberSchema,
        messages: await listAllMembers(clients),
        columns: memberColumns(cli.terminal),
        name: ({ id }) => id,
        none: "No members yet. The first one is the owner: bin/hermit setup",
      });
    });
};
