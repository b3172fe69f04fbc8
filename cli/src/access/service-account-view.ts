import type { ServiceAccount } from "@openhermit/protocol/access/v1/service_account";
import { allPages, PAGE_SIZE } from "../all-pages.ts";
import type { Column } from "../output/table.ts";
import type { Terminal } from "../output/terminal.ts";
import type { AccessClients } from "./access-clients.ts";
import { roleWord } from "./role-option.ts";
import { subjectText } from "./subject-text.ts";

/** The columns of a list of service accounts. */
export function serviceAccountColumns(terminal: Terminal): Column<ServiceAccount>[] {
  return [
    { title: "ACCOUNT", text: ({ id }) => id, paint: (_, text) => terminal.paint("bold", text) },
    { title: "ROLE", text: ({ role }) => roleWord(role) },
    {
      title: "STATE",
      text: accountState,
      paint: ({ disabled }, text) => terminal.paint(disabled ? "red" : "green", text),
    },
    { title: "TEAMS", hideEmpty: true, text: ({ teamIds }) => teamIds.join(",") },
    { title: "MADE BY", optional: true, text: ({ creator }) => subjectText(creator) },
    { title: "NAME", text: ({ id, displayName }) => displayName || id },
  ];
}

/** Whether its tokens do something, as a word. */
export const accountState = ({ disabled }: ServiceAccount): string => (disabled ? "disabled" : "active");

/** All service accounts, page after page. */
export async function listAllServiceAccounts(clients: AccessClients, signal?: AbortSignal): Promise<ServiceAccount[]> {
  return allPages(
    (pageToken) =>
      clients.serviceAccounts.listServiceAccounts({ pageSize: PAGE_SIZE, pageToken }, signal ? { signal } : {}),
    (page) => page.serviceAccounts,
  );
}
