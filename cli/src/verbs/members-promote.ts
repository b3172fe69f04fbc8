import { changeRole, type RoleChange } from "../access/change-role.ts";
import { roleOption, roleWords } from "../access/role-option.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit members promote MEMBER`. */
export const declareMembersPromote: DeclareVerb = (members, cli) => {
  members
    .command("promote")
    .argument("<member>", "the member's id")
    .description("give a member the next higher role; asks before it makes an owner")
    .addOption(roleOption("--to <role>", "this one instead", roleWords.slice(1)))
    .option("-y, --yes", "do not ask")
    .action((memberId: string, options: RoleChange) => changeRole(cli, memberId, "promote", options));
};
