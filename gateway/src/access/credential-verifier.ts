import type { Principal } from "@openhermit/access-service";
import { permissionDenied, unauthenticated, type MeshError } from "@openhermit/errors";

import type { OperatorToken } from "../home/operator-token.ts";
import { isSameOrigin } from "./same-origin.ts";
import type { AttemptLimits } from "./attempt-limits.ts";
import { createFailedTokens } from "./failed-tokens.ts";

/** Who calls, as a credential proves it. */
export type Credentials =
  | { readonly kind: "principal"; readonly principal: Principal }
  | { readonly kind: "sidecar"; readonly sidecarId: string; readonly agentIds: readonly string[] }
  | { readonly kind: "anonymous" };

/** What is looked at to find out who calls. */
export interface CredentialRequest {
  headers: Headers;
  /** The address it came from. */
  address: string;
  /** Whether a person only looks at a page: then a link on another site may have led there. Never so for a call. */
  isGet: boolean;
}

/** Tells who calls. */
export interface CredentialVerifier {
  /**
   * Who the headers prove; anonymous without a credential. Throws for a credential that is not valid: it is never taken
   * for none. Errors: CREDENTIAL_INVALID, ORIGIN_REFUSED, ATTEMPTS_LIMITED, ACCESS_UNAVAILABLE.
   */
  verify(request: CredentialRequest): Promise<Credentials>;
}

/** What the verifier asks of others. */
export interface CredentialPorts {
  /** The token of whoever owns the home. */
  operatorToken: Pick<OperatorToken, "matches">;
  /** Whom that token stands for. */
  localOperator: Principal;
  /** Who a token stands for; undefined when it is not valid. */
  verifyToken(token: string, address: string): Promise<Principal | undefined>;
  /** Who a browser session stands for; undefined when it is not valid. */
  verifySession(secret: string): Promise<Principal | undefined>;
  /** The session in a Cookie header; undefined without one. */
  readSession(cookies: string): string | undefined;
  /** Who a sidecar's access token speaks for; undefined when it is not valid. */
  verifyAccessToken(token: string): Promise<{ sidecarId: string; agentIds: readonly string[] } | undefined>;
  /** The origins of the gateway's own pages. */
  ownOrigins(): readonly string[];
  limits: Pick<AttemptLimits, "admit" | "failed">;
}

const BEARER = /^Bearer +([^\s]+)$/i;
// Three parts of base64url. Sidecars send such, and all of them are too old after the gateway was away for a while.
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/**
 * Creates the verifier: the operator's token, tokens of people and programs, sidecars' access tokens, all sent as
 * `authorization: Bearer`; without that header the session in a cookie, from the gateway's own pages only.
 */
export function createCredentialVerifier(ports: CredentialPorts): CredentialVerifier {
  const failed = createFailedTokens();

  async function bearer(header: string, address: string): Promise<Credentials> {
    const token = BEARER.exec(header.trim())?.[1] ?? "";
    if (token.startsWith("ohm_")) {
      const principal = ports.operatorToken.matches(token)
        ? ports.localOperator
        : await ports.verifyToken(token, address);
      if (principal !== undefined) {
        return { kind: "principal", principal };
      }
    } else if (token !== "") {
      const sidecar = await ports.verifyAccessToken(token);
      if (sidecar !== undefined) {
        return { kind: "sidecar", sidecarId: sidecar.sidecarId, agentIds: sidecar.agentIds };
      }
    }
    // Whoever comes again and again with a token that has ended guesses nothing.
    if (JWT.test(token) || !failed.isNew(token)) {
      throw invalid();
    }
    // Only after the look: whoever has a valid token is never limited by what others at the same address try.
    const limited = ports.limits.admit("token", address);
    if (limited !== undefined) {
      throw limited;
    }
    ports.limits.failed("token", address);
    throw invalid();
  }

  async function session(secret: string, request: CredentialRequest): Promise<Credentials> {
    // Before the look: a page of another site learns nothing of the session, not even whether there is one.
    if (!request.isGet && !isSameOrigin(request.headers, ports.ownOrigins)) {
      throw permissionDenied("ORIGIN_REFUSED", "a browser's session works on the gateway's own pages only", {
        hint: "open them at the URL that OPENHERMIT_PUBLIC_URL names; programs send `authorization: Bearer <token>`",
      });
    }
    const principal = await ports.verifySession(secret);
    if (principal === undefined) {
      throw invalid();
    }
    return { kind: "principal", principal };
  }

  return {
    verify(request) {
      const authorization = request.headers.get("authorization");
      if (authorization !== null) {
        return bearer(authorization, request.address);
      }
      const cookies = request.headers.get("cookie");
      const secret = cookies === null ? undefined : ports.readSession(cookies);
      return secret === undefined ? NOBODY : session(secret, request);
    },
  };
}

const NOBODY: Promise<Credentials> = Promise.resolve({ kind: "anonymous" });

function invalid(): MeshError {
  return unauthenticated("CREDENTIAL_INVALID", "the credential of this call is not valid, or no longer", {
    hint: "log in again with `hermit login`; programs send a token, sidecars an access token of IssueToken",
  });
}
