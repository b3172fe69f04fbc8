import { MemberState } from "@openhermit/protocol/access/v1/member";
import { Role } from "@openhermit/protocol/access/v1/subject";
import { confirm } from "../ask.ts";
import type { Cli } from "../cli.ts";
import { CliError } from "../cli-error.ts";
import { accessClients } from "./access-clients.ts";
import { endedInviteText } from "./invite-text.ts";
import { roleOf, roleWord, roleWords, type RoleWord } from "./role-option.ts";

/** What `promote` and `demote` take. */
export interface RoleChange {
  /** The role to have; undefined: the next one. */
  to?: RoleWord;
  yes?: boolean;
}

/** Moves a member's role up or down. Throws CliError when the new one is not in that direction. */
export async function changeRole(cli: Cli, memberId: string, verb: "promote" | "demote", change: RoleChange) {
  const { members } = accessClients(await cli.gateway());
  const { member } = await members.getMember({ memberId });
  if (!member) return;
  const step = verb === "promote" ? 1 : -1;
  const next = roleWords[roleWords.indexOf(roleWord(member.role) as RoleWord) + step];
  const role = change.to === undefined ? next && roleOf(next) : roleOf(change.to);
  if (role === undefined || (role - member.role) * step <= 0) {
    const other = verb === "promote" ? "demote" : "promote";
    throw new CliError(`member ${memberId} is ${roleWord(member.role)} already`, {
      next:
        role === undefined || role === member.role
          ? "bin/hermit members list"
          : `bin/hermit members ${other} ${memberId} --to ${roleWord(role)}`,
    });
  }
  if (role === Role.OWNER && change.yes !== true) {
    cli.terminal.say(`An owner may do everything, and remove other owners: you too.`);
    await confirm(cli, {
      target: `member ${memberId}`,
      done: "made an owner",
      withoutAsking: `bin/hermit members promote ${memberId} --to owner --yes`,
    });
  }
  const changed = await members.updateMember({ member: { id: memberId, role }, updateMask: { paths: ["role"] } });
  const browsers = member.state === MemberState.ACTIVE ? "; a browser logs in again" : "";
  cli.terminal.say(`member ${memberId} is ${roleWord(role)} now${browsers}${endedInviteText(changed.member)}`);
}
