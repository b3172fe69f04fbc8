import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { Attempt, NewCode, NewSession } from "../access-ports.ts";
import type { Actor, SubjectRef } from "../principal.ts";
import { beginSession } from "./begin-session.ts";
import type { LoginParts } from "./login-parts.ts";
import { codeInvalid, CodeKind } from "./one-time-code.ts";
import { consumeCode, createCode, deleteExpiredCodes } from "./one-time-code-store.ts";

const LOCAL_OPERATOR: SubjectRef = { kind: SubjectKind.LOCAL_OPERATOR, id: "" };

/** A code that opens a browser session of the local operator. */
export async function createLoginLink(parts: LoginParts, actor: Actor): Promise<NewCode> {
  return parts.database.transaction(async (tx) => {
    const now = parts.now();
    await deleteExpiredCodes(tx, now);
    const code = await createCode(tx, CodeKind.LOGIN_LINK, { memberId: "", detail: {} }, now);
    await parts.audit.recordChanges(actor)(tx, [{ action: "login-link.create", targetType: "", targetId: "" }]);
    return code;
  });
}

/** Logs the local operator in. Errors: CODE_INVALID. */
export async function logInWithLink(parts: LoginParts, code: string, attempt: Attempt): Promise<NewSession> {
  return parts.database.transaction(async (tx) => {
    if ((await consumeCode(tx, CodeKind.LOGIN_LINK, code, parts.now())) === undefined) throw codeInvalid();
    return beginSession(parts, attempt, "login link")(tx, LOCAL_OPERATOR);
  });
}
