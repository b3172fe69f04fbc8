import { notFound, type MeshError } from "@openhermit/errors";
import type { Role } from "@openhermit/protocol/access/v1/subject";
import { subjectName } from "../access-call.ts";
import type { SubjectRef } from "../principal.ts";

/** A grant as stored. */
export interface StoredGrant {
  readonly agentId: string;
  readonly subject: SubjectRef;
  readonly role: Role;
  readonly creator: SubjectRef;
  readonly createTime: Date;
}

/** The name of a grant in the audit trail: `one/member:alice`. */
export function grantName({ agentId, subject }: Pick<StoredGrant, "agentId" | "subject">): string {
  return `${agentId}/${subjectName(subject)}`;
}

/** The error of a grant that does not exist. */
export function grantNotFound(agentId: string, subject: SubjectRef): MeshError {
  return notFound("GRANT_NOT_FOUND", `${subjectName(subject)} holds no grant on agent "${agentId}"`, {
    hint: "hermit grants list shows all.",
    fields: { agent_id: agentId },
  });
}
