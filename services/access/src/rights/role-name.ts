import { Role } from "@openhermit/protocol/access/v1/subject";

const NAMES: ReadonlyMap<Role, string> = new Map<Role, string>([
  [Role.VIEWER, "viewer"],
  [Role.OPERATOR, "operator"],
  [Role.ADMIN, "admin"],
  [Role.OWNER, "owner"],
]);

/** How a role is written; empty for none. */
export function roleName(role: Role): string {
  return NAMES.get(role) ?? "";
}
