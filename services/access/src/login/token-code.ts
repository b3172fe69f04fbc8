import { createHash, timingSafeEqual } from "node:crypto";
import { failedPrecondition, invalidArgument, permissionDenied } from "@openhermit/errors";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { lockAccess } from "../access-lock-store.ts";
import type { NewCode } from "../access-ports.ts";
import type { Actor, Principal } from "../principal.ts";
import type { LoginParts } from "./login-parts.ts";
import { codeInvalid, CodeKind } from "./one-time-code.ts";
import { consumeCode, createCode, deleteExpiredCodes } from "./one-time-code-store.ts";
import { sessionBounds, sessionPrincipal } from "./session.ts";
import { readSession } from "./session-store.ts";

/** SHA-256 as base64url without padding (RFC 7636, S256). */
const CHALLENGE = /^[A-Za-z0-9_-]{43}$/;
const MAX_DEVICE_NAME = 120;
/** A token of a login counts as a recent login, and so only a recent login makes one. */
const RECENT_MS = 60 * 60_000;

/**
 * A code that a command line exchanges for a token of whoever's session this is. It works for as long as the session does.
 * Errors: SESSION_REQUIRED, LOGIN_TOO_OLD, REQUEST_INVALID.
 */
export async function createTokenCode(
  parts: LoginParts,
  { subject, credential }: Principal,
  challenge: string,
  deviceName: string,
): Promise<NewCode> {
  if (credential.kind !== "session") {
    throw failedPrecondition("SESSION_REQUIRED", "a command line is let in from a browser session only", {
      hint: "Log in in the browser first.",
    });
  }
  const now = parts.now();
  const isPerson = subject.kind === SubjectKind.MEMBER;
  if (isPerson && now.getTime() - credential.loginTime.getTime() > RECENT_MS) {
    throw permissionDenied("LOGIN_TOO_OLD", "the last login is too long ago to let a command line in", {
      hint: "Log in again.",
    });
  }
  if (!CHALLENGE.test(challenge)) {
    throw invalidArgument("REQUEST_INVALID", "the challenge is not a SHA-256 in base64url", {
      hint: "Run hermit login again.",
      fields: { field: "challenge" },
    });
  }
  const detail = {
    challenge,
    session_id: credential.sessionId,
    device_name: Array.from(deviceName.replace(/\p{Cc}/gu, " ").trim())
      .slice(0, MAX_DEVICE_NAME)
      .join(""),
  };
  return parts.database.transaction(async (tx) => {
    await deleteExpiredCodes(tx, now);
    return createCode(tx, CodeKind.TOKEN, { memberId: isPerson ? subject.id : "", detail }, now);
  });
}

/** A token that was got with a code. */
export interface ExchangedToken {
  readonly token: string;
  readonly accessor: string;
  readonly expireTime: Date;
  /** Who it stands for. */
  readonly principal: Principal;
}

/**
 * Exchanges a code for a token. A wrong verifier uses the code up: somebody else has it. Errors: CODE_INVALID.
 *
 * @param actor the one of the call, who becomes the one whose code it is.
 */
export async function exchangeTokenCode(
  parts: LoginParts,
  request: { code: string; verifier: string },
  actor: Actor,
): Promise<ExchangedToken> {
  const exchanged = await parts.database.transaction(async (tx): Promise<ExchangedToken | undefined> => {
    await lockAccess(tx);
    const now = parts.now();
    const content = await consumeCode(tx, CodeKind.TOKEN, request.code, now);
    const { challenge = "", session_id: sessionId = "", device_name: deviceName = "" } = content?.detail ?? {};
    if (content === undefined || !isVerifier(request.verifier, challenge)) return undefined;
    const session = await readSession(tx, Buffer.from(sessionId, "hex"), sessionBounds(now));
    if (session === undefined) return undefined;
    const principal = sessionPrincipal(session);
    const issued = await parts.issueLoginToken(tx, principal, deviceName);
    const change = {
      action: "tokens.create",
      targetType: "token",
      targetId: issued.accessor,
      fields: [
        { path: "name", before: "", after: deviceName },
        { path: "login", before: "", after: "true" },
      ],
    };
    await parts.audit.recordChanges({ ...actor, subject: principal.subject })(tx, [change]);
    return { ...issued, principal };
  });
  // After the commit: the code is gone also when it was refused.
  if (exchanged === undefined) throw codeInvalid();
  return exchanged;
}

function isVerifier(verifier: string, challenge: string): boolean {
  const digest = createHash("sha256").update(verifier).digest();
  const expected = Buffer.from(challenge, "base64url");
  return expected.length === digest.length && timingSafeEqual(digest, expected);
}
