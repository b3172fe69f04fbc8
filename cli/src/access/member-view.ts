import { MemberState, type Member } from "@openhermit/protocol/access/v1/member";
import { allPages, PAGE_SIZE } from "../all-pages.ts";
import { enumWord } from "../output/enum-word.ts";
import type { Column } from "../output/table.ts";
import type { Terminal } from "../output/terminal.ts";
import { ageText, untilText } from "../output/time-text.ts";
import type { AccessClients } from "./access-clients.ts";
import { roleWord } from "./role-option.ts";

const COLORS: Partial<Record<MemberState, "green" | "yellow" | "red">> = {
  [MemberState.ACTIVE]: "green",
  [MemberState.INVITED]: "yellow",
  [MemberState.DISABLED]: "red",
};

/** The columns of a list of members. */
export function memberColumns(terminal: Terminal): Column<Member>[] {
  return [
    { title: "MEMBER", text: ({ id }) => id, paint: (_, text) => terminal.paint("bold", text) },
    { title: "ROLE", text: ({ role }) => roleWord(role) },
    {
      title: "STATE",
      text: ({ state, inviteExpireTime }) =>
        state === MemberState.INVITED && inviteExpireTime
          ? `invited, ${untilText(inviteExpireTime)} left`
          : enumWord(MemberState, state),
      paint: ({ state }, text) => terminal.paint(COLORS[state] ?? "reset", text),
    },
    { title: "TEAMS", hideEmpty: true, text: ({ teamIds }) => teamIds.join(",") },
    {
      title: "LAST LOGIN",
      optional: true,
      text: ({ lastLoginTime }) => (lastLoginTime ? `${ageText(lastLoginTime)} ago` : "never"),
    },
    {
      title: "NAME",
      text: ({ id, displayName, external }) => `${displayName || id}${external ? " (single sign-on)" : ""}`,
    },
  ];
}

/** All members, page after page. */
export async function listAllMembers({ members }: AccessClients, signal?: AbortSignal): Promise<Member[]> {
  return allPages(
    (pageToken) => members.listMembers({ pageSize: PAGE_SIZE, pageToken }, signal ? { signal } : {}),
    (page) => page.members,
  );
}
