import type { HandlerContext } from "@connectrpc/connect";
import { unauthenticated } from "@openhermit/errors";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { Actor, Principal, SubjectRef } from "./principal.ts";

/** Who makes a call. */
export interface AccessCall {
  /** Undefined for a call without a credential, or of a sidecar. */
  readonly principal: Principal | undefined;
  /** The same for the audit trail. */
  readonly actor: Actor;
}

/** Tells who makes a call. */
export type CallOf = (context: HandlerContext) => AccessCall;

/** Who makes a call that only principals may make; the gateway has refused all others. */
export function principalOf({ principal }: AccessCall): Principal {
  if (principal !== undefined) return principal;
  throw unauthenticated("CREDENTIAL_MISSING", "this call needs the credential of a person or a service account");
}

const KIND_NAMES: ReadonlyMap<SubjectKind, string> = new Map<SubjectKind, string>([
  [SubjectKind.UNSPECIFIED, "nobody"],
  [SubjectKind.LOCAL_OPERATOR, "local-operator"],
  [SubjectKind.MEMBER, "member"],
  [SubjectKind.SERVICE_ACCOUNT, "service-account"],
  [SubjectKind.TEAM, "team"],
  [SubjectKind.SIDECAR, "sidecar"],
  [SubjectKind.SYSTEM, "system"],
  [SubjectKind.ANONYMOUS, "anonymous"],
]);

/** A subject as it stands in logs and in the audit trail: `member:alice`, `local-operator`. */
export function subjectName({ kind, id }: SubjectRef): string {
  const name = KIND_NAMES.get(kind) ?? `kind-${kind}`;
  return id === "" ? name : `${name}:${id}`;
}
