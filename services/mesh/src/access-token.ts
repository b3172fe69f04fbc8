import { randomBytes } from "node:crypto";
import { errors, jwtVerify, SignJWT } from "jose";
import type { GatewayKeys } from "./gateway-key.ts";

/** How long an access token lives, in seconds. */
export const ACCESS_TOKEN_LIFE_S = 300;

const AUDIENCE = "openhermit-mesh";
/** How far the clocks of two gateways may be apart, in seconds. */
const CLOCK_TOLERANCE_S = 5;

/** What an access token says. */
export interface AccessClaims {
  sidecarId: string;
  /** The thumbprint of the sidecar's key. */
  thumbprint: string;
  jti: string;
  expiresAt: Date;
}

/** Signs an access token: EdDSA, audience `openhermit-mesh`, bound to the sidecar's key by `cnf.jkt` (RFC 7800). */
export async function signAccessToken(
  keys: GatewayKeys,
  claims: { sidecarId: string; thumbprint: string },
): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return await new SignJWT({
    aud: AUDIENCE,
    sub: claims.sidecarId,
    jti: randomBytes(16).toString("base64url"),
    iat: now,
    exp: now + ACCESS_TOKEN_LIFE_S,
    cnf: { jkt: claims.thumbprint },
  })
    .setProtectedHeader({ alg: "EdDSA", typ: "JWT", kid: keys.keyId })
    .sign(keys.privateKey);
}

/** Reads an access token; undefined when it is not valid now. Throws when the key can't be read because the database is away. */
export async function readAccessToken(keys: GatewayKeys, token: string): Promise<AccessClaims | undefined> {
  try {
    const { payload } = await jwtVerify<{ cnf?: { jkt?: unknown } }>(
      token,
      async (header) => {
        const key = header.kid === undefined ? undefined : await keys.find(header.kid);
        if (key === undefined) throw new errors.JWKSNoMatchingKey();
        return key;
      },
      {
        algorithms: ["EdDSA"],
        audience: AUDIENCE,
        clockTolerance: CLOCK_TOLERANCE_S,
        requiredClaims: ["sub", "jti", "iat", "exp", "cnf"],
      },
    );
    const thumbprint = payload.cnf?.jkt;
    if (typeof thumbprint !== "string" || payload.sub === undefined || payload.jti === undefined) return undefined;
    return { sidecarId: payload.sub, thumbprint, jti: payload.jti, expiresAt: new Date((payload.exp ?? 0) * 1000) };
  } catch (error) {
    if (error instanceof errors.JOSEError) return undefined;
    throw error;
  }
}
