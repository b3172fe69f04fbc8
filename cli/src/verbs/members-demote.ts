import { changeRole, type RoleChange } from "../access/change-role.ts";
import { roleOption, roleWords } from "../access/role-option.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit members demote MEMBER`. */
export const declareMembersDemote: DeclareVerb = (members, cli) => {
  members
    .command("demote")
    .argument("<member>", "the member's id")
    .description("give a member the next lower role; it counts at once")
    .addOption(roleOption("--to <role>", "this one instead", roleWords.slice(0, -1)))
    .action((memberId: string, options: RoleChange) => changeRole(cli, memberId, "demote", options));
};
