import { invalidArgument } from "@openhermit/errors";
import type { Queryable } from "@openhermit/postgres";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { memberNotFound } from "../members/member.ts";
import type { SubjectRef } from "../principal.ts";
import { serviceAccountNotFound } from "../service-accounts/service-account.ts";
import { teamNotFound } from "../teams/team.ts";
import { subjectExists } from "./subject-store.ts";

/** Somebody who holds something, as a request names it. Errors: SUBJECT_INVALID for a kind that can't. */
export function subjectFrom(
  message: { kind: SubjectKind; id: string } | undefined,
  kinds: readonly SubjectKind[],
): SubjectRef {
  if (message !== undefined && message.id !== "" && kinds.includes(message.kind)) {
    return { kind: message.kind, id: message.id };
  }
  const teams = kinds.includes(SubjectKind.TEAM);
  throw invalidArgument(
    "SUBJECT_INVALID",
    `a member${teams ? ", a service account or a team" : " or a service account"} is needed`,
    {
      hint: `Name it as member:alice${teams ? ", service-account:ci or team:red" : " or service-account:ci"}.`,
    },
  );
}

/** Errors: MEMBER_NOT_FOUND, SERVICE_ACCOUNT_NOT_FOUND, TEAM_NOT_FOUND. */
export async function checkSubjectExists(tx: Queryable, subject: SubjectRef): Promise<void> {
  if (await subjectExists(tx, subject)) return;
  if (subject.kind === SubjectKind.MEMBER) throw memberNotFound(subject.id);
  throw subject.kind === SubjectKind.TEAM ? teamNotFound(subject.id) : serviceAccountNotFound(subject.id);
}
