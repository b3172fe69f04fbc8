import { jwtVerify, SignJWT } from "jose";

/** Sessions of browsers: a signed cookie. It opens pages that are read, never a call. */
export interface BrowserSessions {
  /** The value of a `set-cookie` header that opens a session. */
  open(): Promise<string>;
  /** Whether a `cookie` header carries an open session. */
  verify(cookieHeader: string | undefined): Promise<boolean>;
}

const LIFETIME_S = 12 * 3600;
const AUDIENCE = "openhermit-browser";

/**
 * Creates the sessions. They live for 12 hours and end with the operator's token, of which the key is made; so they
 * survive a restart, and every gateway of the same home knows them.
 */
export function createBrowserSessions(options: { key: Uint8Array; secure: boolean }): BrowserSessions {
  const { key, secure } = options;
  const name = secure ? "__Host-openhermit_session" : "openhermit_session";
  return {
    async open() {
      const token = await new SignJWT({})
        .setProtectedHeader({ alg: "HS256" })
        .setSubject("operator")
        .setAudience(AUDIENCE)
        .setIssuedAt()
        .setExpirationTime(`${LIFETIME_S} s`)
        .sign(key);
      const attributes = `Path=/; Max-Age=${LIFETIME_S}; HttpOnly; SameSite=Lax${secure ? "; Secure" : ""}`;
      return `${name}=${token}; ${attributes}`;
    },
    async verify(cookieHeader) {
      const token = cookieHeader
        ?.split(";")
        .map((pair) => pair.trim())
        .find((pair) => pair.startsWith(`${name}=`))
        ?.slice(name.length + 1);
      if (token === undefined) {
        return false;
      }
      try {
        const { payload } = await jwtVerify(token, key, { audience: AUDIENCE, algorithms: ["HS256"] });
        return payload.sub === "operator";
      } catch {
        return false;
      }
    },
  };
}
