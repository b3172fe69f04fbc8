import type { Token } from "@openhermit/protocol/access/v1/token";
import { allPages, PAGE_SIZE } from "../all-pages.ts";
import type { Column } from "../output/table.ts";
import type { Terminal } from "../output/terminal.ts";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { ageText, untilText } from "../output/time-text.ts";
import type { AccessClients } from "./access-clients.ts";
import { subjectText } from "./subject-text.ts";

/** The columns of a list of tokens. */
export function tokenColumns(terminal: Terminal): Column<Token>[] {
  return [
    { title: "ACCESSOR", text: ({ accessor }) => accessor, paint: (_, text) => terminal.paint("bold", text) },
    { title: "FOR", text: ({ subject }) => subjectText(subject) },
    { title: "LAST USED", text: lastUseText },
    {
      title: "EXPIRES",
      text: endText,
      paint: (token, text) => terminal.paint(endColor(token), text),
    },
    { title: "MADE BY", optional: true, text: ({ creator }) => subjectText(creator) },
    { title: "NAME", text: ({ name }) => name || "-" },
    { title: "SCOPES", text: scopesText },
  ];
}

/** When the token was last used. */
export const lastUseText = ({ lastUseTime }: Token): string => (lastUseTime ? `${ageText(lastUseTime)} ago` : "never");

/** What the token may do at most. */
export const scopesText = ({ login, scopes }: Token): string => (login ? "all of a login" : scopes.join(" "));

/** All tokens that the caller may see, newest first. */
export async function listAllTokens(
  { tokens }: AccessClients,
  filter: { serviceAccountId?: string; includeEnded?: boolean } = {},
  signal?: AbortSignal,
): Promise<Token[]> {
  return allPages(
    (pageToken) => tokens.listTokens({ ...filter, pageSize: PAGE_SIZE, pageToken }, signal ? { signal } : {}),
    (page) => page.tokens,
  );
}

const SOON_MS = 7 * 86_400_000;

/** Until when it works: `in 26d`, or how it ended. */
function endText({ revokeTime, expireTime }: Token): string {
  if (revokeTime) return `revoked ${ageText(revokeTime)} ago`;
  if (!expireTime) return "-";
  return timestampMs(expireTime) <= Date.now() ? `expired ${ageText(expireTime)} ago` : `in ${untilText(expireTime)}`;
}

function endColor({ revokeTime, expireTime }: Token): "red" | "yellow" | "reset" {
  const left = expireTime ? timestampMs(expireTime) - Date.now() : Infinity;
  if (revokeTime || left <= 0) return "red";
  return left < SOON_MS ? "yellow" : "reset";
}
