import { Role } from "@openhermit/protocol/access/v1/subject";

import type { OidcConfig, RoleName } from "../config.ts";

const ROLES: Readonly<Record<RoleName, Role>> = {
  viewer: Role.VIEWER,
  operator: Role.OPERATOR,
  admin: Role.ADMIN,
  owner: Role.OWNER,
};
/** The group that everybody is in. */
const EVERYBODY = "*";

/** The role that somebody's groups give: the highest wins; undefined for who is in none of them. */
export function roleOfGroups(roles: OidcConfig["roles"], groups: readonly string[]): Role | undefined {
  const given = [EVERYBODY, ...groups].map((group) => roles.get(group)).filter((name) => name !== undefined);
  return given.map((name) => ROLES[name]).toSorted((one, other) => other - one)[0];
}
