import { createContextKey, type ContextValues } from "@connectrpc/connect";
import { subjectName, type Actor, type Principal, type SubjectRef } from "@openhermit/access-service";
import type { Caller } from "@openhermit/caller";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";

import { peerKey, requestIdKey } from "../rpc/call-context.ts";

/** The caller of a call without a credential. */
export const ANONYMOUS: Caller = { kind: "anonymous" };

/** Where the gate puts the caller. */
export const callerKey = createContextKey<Caller>(ANONYMOUS, { description: "caller" });
/** Where the gate puts the person or program behind a principal. */
export const principalKey = createContextKey<Principal | undefined>(undefined, { description: "principal" });

/** What the call that is being handled carries. */
interface CallContext {
  readonly values: ContextValues;
}

/** Who makes the call that is being handled, and what it may reach. */
export function callerOf(context: CallContext): Caller {
  return context.values.get(callerKey);
}

/** The person or program that makes the call; undefined for a sidecar and for nobody. */
export function principalOf(context: CallContext): Principal | undefined {
  return context.values.get(principalKey);
}

/** Who makes the call, as the audit trail keeps it. */
export function actorOf(context: CallContext): Actor {
  const { values } = context;
  const from = { requestId: values.get(requestIdKey), address: values.get(peerKey) };
  const principal = values.get(principalKey);
  if (principal !== undefined) {
    const { subject, creator, credential } = principal;
    return {
      subject,
      onBehalfOf: sameSubject(subject, creator) ? undefined : creator,
      accessor: credential.kind === "token" ? credential.accessor : "",
      ...from,
    };
  }
  const caller = values.get(callerKey);
  const subject =
    caller.kind === "sidecar"
      ? { kind: SubjectKind.SIDECAR, id: caller.sidecarId }
      : { kind: SubjectKind.ANONYMOUS, id: "" };
  return { subject, onBehalfOf: undefined, accessor: "", ...from };
}

/** A principal at a method that is not for principals: it is named, and reaches nothing. */
export function strangerOf({ subject }: Principal): Caller {
  const agents = { all: false, has: () => false, ids: () => [] };
  return { kind: "principal", name: subjectName(subject), agents, mayOwnFor: () => false };
}

function sameSubject(a: SubjectRef, b: SubjectRef): boolean {
  return a.kind === b.kind && a.id === b.id;
}
