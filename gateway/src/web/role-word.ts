import { SubjectKind, Role } from "@openhermit/protocol/access/v1/subject";
import type { Identity } from "@openhermit/protocol/access/v1/login_service";

const WORDS: Readonly<Record<Role, string>> = {
  [Role.UNSPECIFIED]: "no role",
  [Role.VIEWER]: "viewer",
  [Role.OPERATOR]: "operator",
  [Role.ADMIN]: "admin",
  [Role.OWNER]: "owner",
};

/** The word of a role. */
export function roleWord(role: Role): string {
  return WORDS[role] ?? WORDS[Role.UNSPECIFIED];
}

/** How somebody is called on a page. The id stands beside a name, since names are free to choose. */
export function identityName({ subject, displayName }: Pick<Identity, "subject" | "displayName">): string {
  if (subject?.kind === SubjectKind.LOCAL_OPERATOR) {
    return "the local operator";
  }
  const id = subject?.id ?? "";
  return displayName === "" || displayName === id ? id : `${displayName} (${id})`;
}
