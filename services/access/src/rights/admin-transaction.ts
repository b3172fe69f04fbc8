import { permissionDenied } from "@openhermit/errors";
import type { Database, Queryable } from "@openhermit/postgres";
import { Role } from "@openhermit/protocol/access/v1/subject";
import { subjectName } from "../access-call.ts";
import { lockAccess } from "../access-lock-store.ts";
import { readRole } from "../members/member-store.ts";
import type { Principal } from "../principal.ts";
import { roleName } from "./role-name.ts";
import { sameSubject } from "./decide.ts";

/**
 * Runs a change of access that only admins may make, while nobody else changes access. Who the caller is by then is read
 * here and not taken from memory: of two admins who demote each other at once, the second has lost the right meanwhile.
 * Errors: RIGHT_MISSING.
 *
 * @param work gets the caller's role: nobody gives, or touches, one above the own.
 */
export function adminTransaction<T>(
  database: Database,
  { subject, creator }: Principal,
  work: (tx: Queryable, rank: Role) => Promise<T>,
): Promise<T> {
  return database.transaction(async (tx) => {
    await lockAccess(tx);
    const own = await readRole(tx, subject);
    const bound = sameSubject(subject, creator) ? own : await readRole(tx, creator);
    const rank = own < bound ? own : bound;
    if (rank >= Role.ADMIN) return await work(tx, rank);
    throw permissionDenied("RIGHT_MISSING", `${subjectName(subject)} is no admin any more`, {
      hint: "Ask an owner of the fleet.",
    });
  });
}

/** Refuses to give or touch a role above the own. Errors: RIGHT_MISSING. */
export function checkRoleWithin(rank: Role, concerned: Role): void {
  if (concerned <= rank) return;
  throw permissionDenied("RIGHT_MISSING", `only an ${roleName(concerned)} may do this: it concerns that role`, {
    hint: "Ask an owner of the fleet.",
  });
}
