import { timestampDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import { MemberState, type Member } from "@openhermit/protocol/access/v1/member";
import type { Cli } from "../cli.ts";
import { printValue, type OutputFormat } from "../output/print.ts";
import { untilText } from "../output/time-text.ts";

/** What is left to do for a member whose invite ended with a change, as the end of a sentence; empty when nothing is. */
export function endedInviteText(member: Member | undefined): string {
  if (member?.state !== MemberState.INVITED || member.inviteExpireTime) return "";
  return `; the invite has ended, make a new one: bin/hermit members renew-invite ${member.id}`;
}

/** Prints the link of an invite on stdout alone, and on stderr what to do with it. */
export async function printInvite(
  { terminal }: Cli,
  format: OutputFormat,
  invite: { memberId: string; inviteUrl: string; expireTime: Timestamp | undefined },
): Promise<void> {
  const { memberId, inviteUrl, expireTime } = invite;
  if (format !== "text") {
    const until = expireTime ? timestampDate(expireTime).toISOString() : "";
    await printValue(terminal, format, { memberId, inviteUrl, expireTime: until });
    return;
  }
  terminal.line(inviteUrl);
  terminal.say(`Send this link to ${memberId} alone. It sets the password, once, within ${untilText(expireTime)}.`);
}
