import { accessClients } from "../access/access-clients.ts";
import { roleWord } from "../access/role-option.ts";
import { confirm } from "../ask.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit members remove MEMBER`. */
export const declareMembersRemove: DeclareVerb = (members, cli) => {
  members
    .command("remove")
    .alias("rm")
    .argument("<member>", "the member's id")
    .description("remove a member with the member's tokens and grants; asks for the name")
    .option("-y, --yes", "do not ask")
    .action(async (memberId: string, options: { yes?: boolean }) => {
      const clients = accessClients(await cli.gateway());
      if (options.yes !== true) {
        const { member } = await clients.members.getMember({ memberId });
        if (!member) return;
        cli.terminal.say(
          `${memberId} (${roleWord(member.role)}) loses sessions, tokens and grants. ` +
            "Tokens that this member made for service accounts do nothing any more.",
        );
        await confirm(cli, {
          target: `member ${memberId}`,
          done: "removed",
          name: memberId,
          withoutAsking: `bin/hermit members remove ${memberId} --yes`,
        });
      }
      await clients.members.removeMember({ memberId });
      cli.terminal.say(`member ${memberId} is removed`);
    });
};
