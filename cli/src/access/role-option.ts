import { Option } from "commander";
import { Role } from "@openhermit/protocol/access/v1/subject";
import { enumWord } from "../output/enum-word.ts";

/** The roles, the lowest first. */
export const roleWords = ["viewer", "operator", "admin", "owner"] as const;

/** One of them. */
export type RoleWord = (typeof roleWords)[number];

/** A flag that takes a role. */
export function roleOption(flags: string, description: string, choices: readonly RoleWord[] = roleWords): Option {
  return new Option(flags, description).choices(choices);
}

/** The role that a word names. */
export function roleOf(word: RoleWord): Role {
  return { viewer: Role.VIEWER, operator: Role.OPERATOR, admin: Role.ADMIN, owner: Role.OWNER }[word];
}

/** A role as a word. */
export const roleWord = (role: Role): string => enumWord(Role, role);
