import { accessClients } from "../access/access-clients.ts";
import { printInvite } from "../access/invite-text.ts";
import { outputOption, type OutputFormat } from "../output/print.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit members renew-invite MEMBER`. */
export const declareMembersRenewInvite: DeclareVerb = (members, cli) => {
  members
    .command("renew-invite")
    .argument("<member>", "the member's id")
    .description("print a new link that sets the password; the links before end")
    .addOption(outputOption("text", "json", "yaml"))
    .action(async (memberId: string, options: { output: OutputFormat }) => {
      const clients = accessClients(await cli.gateway());
      const { inviteUrl, expireTime } = await clients.members.renewInvite({ memberId });
      await printInvite(cli, options.output, { memberId, inviteUrl, expireTime });
    });
};
