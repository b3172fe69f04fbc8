import type { Team } from "@openhermit/protocol/access/v1/team";
import { allPages, PAGE_SIZE } from "../all-pages.ts";
import type { Column } from "../output/table.ts";
import type { Terminal } from "../output/terminal.ts";
import type { AccessClients } from "./access-clients.ts";
import { subjectText } from "./subject-text.ts";

/** The columns of a list of teams. */
export function teamColumns(terminal: Terminal): Column<Team>[] {
  return [
    { title: "TEAM", text: ({ id }) => id, paint: (_, text) => terminal.paint("bold", text) },
    { title: "AGENTS", text: ({ agentCount }) => String(agentCount) },
    { title: "NAME", hideEmpty: true, text: ({ id, displayName }) => (displayName === id ? "" : displayName) },
    { title: "MEMBERS", text: membersText },
  ];
}

/** Who is in a team. */
export const membersText = ({ members }: Team): string =>
  members.map((member) => subjectText(member)).join(", ") || "nobody";

/** All teams that the caller may see. */
export async function listAllTeams({ teams }: AccessClients, signal?: AbortSignal): Promise<Team[]> {
  return allPages(
    (pageToken) => teams.listTeams({ pageSize: PAGE_SIZE, pageToken }, signal ? { signal } : {}),
    (page) => page.teams,
  );
}
