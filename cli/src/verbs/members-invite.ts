import { accessClients } from "../access/access-clients.ts";
import { printInvite } from "../access/invite-text.ts";
import { roleOf, roleOption, type RoleWord } from "../access/role-option.ts";
import { outputOption, type OutputFormat } from "../output/print.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit members invite alice
  $ hermit members invite bob --role admin --name "Bob Miller" --team payments
`;

interface InviteOptions {
  role: RoleWord;
  name?: string;
  team?: string[];
  output: OutputFormat;
}

/** `hermit members invite MEMBER`. */
export const declareMembersInvite: DeclareVerb = (members, cli) => {
  members
    .command("invite")
    .argument("<new-member>", "an id to log in with: lower-case letters, digits, dashes")
    .description("add a member and print the link that sets the password")
    .addHelpText("before", EXAMPLES)
    .addOption(roleOption("--role <role>", "how far the rights go").default("viewer"))
    .option("--name <name>", "the name shown to people")
    .option("--team <id...>", "a team to join; may be repeated")
    .addOption(outputOption("text", "json", "yaml"))
    .action(async (memberId: string, options: InviteOptions) => {
      const clients = accessClients(await cli.gateway());
      const { inviteUrl, expireTime } = await clients.members.inviteMember({
        memberId,
        displayName: options.name ?? "",
        role: roleOf(options.role),
        teamIds: options.team ?? [],
      });
      await printInvite(cli, options.output, { memberId, inviteUrl, expireTime });
    });
};
