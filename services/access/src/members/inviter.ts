import type { Queryable } from "@openhermit/postgres";
import { Role, type SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { Principal, SubjectRef } from "../principal.ts";
import { readRole } from "./member-store.ts";

/** Who acts, and whose rights bound that. */
type Author = Pick<Principal, "subject" | "creator">;

/**
 * As what somebody may act: never more than who made its token. Read here and not taken from memory: of two who demote
 * each other at once, the second has lost the right meanwhile.
 */
export async function rankOf(db: Queryable, { subject, creator }: Author): Promise<Role> {
  const own = await readRole(db, subject);
  if (subject.kind === creator.kind && subject.id === creator.id) return own;
  return Math.min(own, await readRole(db, creator)) as Role;
}

/** Who makes an invite, as it is kept with the code. */
export function inviterDetail({ subject, creator }: Author): Record<string, string> {
  return {
    subject_kind: String(subject.kind),
    subject_id: subject.id,
    creator_kind: String(creator.kind),
    creator_id: creator.id,
  };
}

/** Whether whoever made an invite may still invite somebody as this: else a link would outlive what its maker lost. */
export async function isStillInvited(
  db: Queryable,
  detail: Readonly<Record<string, string>>,
  role: Role,
): Promise<boolean> {
  const kept = (name: "subject" | "creator"): SubjectRef => ({
    kind: Number(detail[`${name}_kind`] ?? 0) as SubjectKind,
    id: detail[`${name}_id`] ?? "",
  });
  const rank = await rankOf(db, { subject: kept("subject"), creator: kept("creator") });
  return rank >= Role.ADMIN && rank >= role;
}
