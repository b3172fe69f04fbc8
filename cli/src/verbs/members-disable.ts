import { MemberState } from "@openhermit/protocol/access/v1/member";
import { accessClients } from "../access/access-clients.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit members disable MEMBER`. */
export const declareMembersDisable: DeclareVerb = (members, cli) => {
  members
    .command("disable")
    .argument("<member>", "the member's id")
    .description("let a member in no more; the tokens the member made do nothing")
    .action(async (memberId: string) => {
      const clients = accessClients(await cli.gateway());
      const member = { id: memberId, state: MemberState.DISABLED };
      await clients.members.updateMember({ member, updateMask: { paths: ["state"] } });
      cli.terminal.say(`member ${memberId} is disabled; bin/hermit members enable ${memberId} takes it back`);
    });
};
