import type { Change } from "@openhermit/caller";
import type { Queryable } from "@openhermit/postgres";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { Attempt, NewSession } from "../access-ports.ts";
import { writeLoginTime } from "../members/member-store.ts";
import type { Actor, SubjectRef } from "../principal.ts";
import { addressGroup } from "@openhermit/caller";
import type { LoginParts } from "./login-parts.ts";
import { rememberAddress } from "./known-address-store.ts";
import { makeSession, sessionBounds, sessionPrincipal } from "./session.ts";
import { deleteEndedSessions, insertSession } from "./session-store.ts";

/** How somebody came in, as the audit trail says it. */
export type LoginMethod = "password" | "setup code" | "invite" | "login link" | "identity provider";

const MAX_USER_AGENT = 256;

/** What somebody gets who has come in, in the transaction that lets in. */
export type Begin<T> = (tx: Queryable, subject: SubjectRef) => Promise<T>;

/** Nothing: a program goes on with something else. */
export const beginNothing: Begin<void> = async () => undefined;

/** Makes a browser session, and removes those of everybody that ended by themselves. */
export function beginSession(parts: LoginParts, attempt: Attempt, method: LoginMethod): Begin<NewSession> {
  return async (tx, subject) => {
    const session = await insertNewSession(tx, subject, attempt, parts.now());
    await parts.audit.recordChanges(actorOf(subject, attempt))(tx, [loginChange(subject, method)]);
    return session;
  };
}

async function insertNewSession(tx: Queryable, subject: SubjectRef, attempt: Attempt, now: Date): Promise<NewSession> {
  const { secret, session } = makeSession(subject, now);
  await deleteEndedSessions(tx, sessionBounds(now));
  await insertSession(tx, session, {
    address: attempt.address,
    userAgent: attempt.userAgent.slice(0, MAX_USER_AGENT),
  });
  if (subject.kind === SubjectKind.MEMBER) {
    await writeLoginTime(tx, subject.id, now);
    await rememberAddress(tx, subject.id, addressGroup(attempt.address), now);
  }
  return { secret, principal: sessionPrincipal(session), expireTime: session.expireTime };
}

function loginChange({ kind, id }: SubjectRef, method: LoginMethod): Change {
  return {
    action: "login",
    targetType: kind === SubjectKind.MEMBER ? "member" : "",
    targetId: id,
    fields: [{ path: "method", before: "", after: method }],
  };
}

/** Somebody who comes in, for the audit trail. */
export function actorOf(subject: SubjectRef, { requestId, address }: Attempt): Actor {
  return { subject, onBehalfOf: undefined, accessor: "", requestId, address };
}

/** Nobody known, for the audit trail. */
export function nobody(attempt: Attempt): Actor {
  return actorOf({ kind: SubjectKind.ANONYMOUS, id: "" }, attempt);
}
