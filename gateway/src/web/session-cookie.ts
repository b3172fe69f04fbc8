import { cookie, endedCookie, readCookie } from "./cookie.ts";

const NAME = "openhermit_session";

/** The secret id of the session that a `cookie` header carries; undefined without one. */
export function readSessionCookie(cookieHeader: string | undefined, secure: boolean): string | undefined {
  return readCookie(cookieHeader, NAME, secure);
}

/** The `set-cookie` header of a session. */
export function sessionCookie(secret: string, expireTime: Date, secure: boolean): string {
  return cookie(NAME, secret, Math.floor((expireTime.getTime() - Date.now()) / 1000), secure);
}

/** The `set-cookie` header that takes the session out of the browser. */
export function endedSessionCookie(secure: boolean): string {
  return endedCookie(NAME, secure);
}
