import { newCode } from "@openhermit/ids";
import type { Principal, SubjectRef } from "../principal.ts";
import { hashSecret } from "./one-time-code.ts";
import type { StoredSession } from "./session-store.ts";

const HOUR_MS = 3_600_000;
/** A session that nobody uses for so long ends. */
const IDLE_MS = 12 * HOUR_MS;
/** Every session ends after so long. */
const ABSOLUTE_MS = 7 * 24 * HOUR_MS;

/** A session that was just made, with its secret. */
export interface MadeSession {
  readonly secret: string;
  readonly session: StoredSession;
}

/** Makes a session: a new secret id at every login, so that nobody can know it beforehand. */
export function makeSession(subject: SubjectRef, now: Date): MadeSession {
  const secret = newCode();
  const expireTime = new Date(now.getTime() + ABSOLUTE_MS);
  return { secret, session: { idHash: hashSecret(secret), subject, loginTime: now, lastUseTime: now, expireTime } };
}

/** What a session must be younger than, and have been used after, to work now. */
export function sessionBounds(now: Date): { now: Date; usedAfter: Date } {
  return { now, usedAfter: new Date(now.getTime() - IDLE_MS) };
}

/** Who comes in with a session. */
export function sessionPrincipal({ idHash, subject, loginTime, expireTime }: StoredSession): Principal {
  return {
    subject,
    creator: subject,
    credential: { kind: "session", sessionId: idHash.toString("hex"), loginTime, expireTime },
  };
}
