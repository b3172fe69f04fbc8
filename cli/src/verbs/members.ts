import type { DeclareVerb } from "../declare-verb.ts";
import { declareMembersDemote } from "./members-demote.ts";
import { declareMembersDisable } from "./members-disable.ts";
import { declareMembersEnable } from "./members-enable.ts";
import { declareMembersInvite } from "./members-invite.ts";
import { declareMembersList } from "./members-list.ts";
import { declareMembersPromote } from "./members-promote.ts";
import { declareMembersRemove } from "./members-remove.ts";
import { declareMembersRenewInvite } from "./members-renew-invite.ts";

const EXAMPLES = `Examples:
  $ hermit members invite alice --role operator --team payments
  $ hermit members list
  $ hermit members promote alice             one role up: viewer, operator,
                                             admin, owner
  $ hermit members renew-invite alice        she has lost her password
  $ hermit members disable alice             she can't come in; nothing is lost
`;

/** `hermit members`: the people of the fleet. */
export const declareMembers: DeclareVerb = (program, cli) => {
  const members = program
    .command("members")
    .description("invite people, and say how far their rights go")
    .addHelpText("before", EXAMPLES);
  declareMembersList(members, cli);
  declareMembersInvite(members, cli);
  declareMembersRenewInvite(members, cli);
  declareMembersPromote(members, cli);
  declareMembersDemote(members, cli);
  declareMembersDisable(members, cli);
  declareMembersEnable(members, cli);
  declareMembersRemove(members, cli);
};
