import { MemberState } from "@openhermit/protocol/access/v1/member";
import { accessClients } from "../access/access-clients.ts";
import { endedInviteText } from "../access/invite-text.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit members enable MEMBER`. */
export const declareMembersEnable: DeclareVerb = (members, cli) => {
  members
    .command("enable")
    .argument("<member>", "the member's id")
    .description("let a disabled member in again")
    .action(async (memberId: string) => {
      const clients = accessClients(await cli.gateway());
      const member = { id: memberId, state: MemberState.ACTIVE };
      const { member: stored } = await clients.members.updateMember({ member, updateMask: { paths: ["state"] } });
      cli.terminal.say(`member ${memberId} is enabled${endedInviteText(stored)}`);
    });
};
