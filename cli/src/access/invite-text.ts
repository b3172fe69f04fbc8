import { timestampDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import type { Cli } from "../cli.ts";
import { printValue, type OutputFormat } from "../output/print.ts";
import { untilText } from "../output/time-text.ts";

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
