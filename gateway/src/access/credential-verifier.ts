import { unauthenticated } from "@openhermit/errors";

import { ANONYMOUS, type Caller } from "./caller.ts";
import type { OperatorToken } from "../home/operator-token.ts";

/** Tells who calls. Users and their tokens will come in through this port. */
export interface CredentialVerifier {
  /**
   * The caller that the headers prove; anonymous without a credential.
   * Throws UNAUTHENTICATED for a credential that is not valid: it is never taken for none.
   */
  verify(headers: Headers): Promise<Caller>;
}

/** What the verifier asks of others. */
export interface CredentialPorts {
  /** The token of whoever owns the home. */
  operatorToken: OperatorToken;
  /** Who a sidecar's access token speaks for; undefined when it is not valid. */
  verifyAccessToken(token: string): Promise<{ sidecarId: string; agentIds: readonly string[] } | undefined>;
}

const BEARER = /^Bearer +([^\s]+)$/i;

/** Creates the verifier of the operator's token and of sidecars' access tokens, both sent as `authorization: Bearer`. */
export function createCredentialVerifier(ports: CredentialPorts): CredentialVerifier {
  return {
    async verify(headers) {
      const header = headers.get("authorization");
      if (header === null) {
        return ANONYMOUS;
      }
      const token = BEARER.exec(header.trim())?.[1];
      if (token?.startsWith("ohm_")) {
        if (ports.operatorToken.matches(token)) {
          return { kind: "principal", id: "operator" };
        }
      } else if (token !== undefined) {
        const sidecar = await ports.verifyAccessToken(token);
        if (sidecar !== undefined) {
          return { kind: "sidecar", sidecarId: sidecar.sidecarId, agentIds: sidecar.agentIds };
        }
      }
      throw unauthenticated("CREDENTIAL_INVALID", "the credential of this call is not valid, or no longer", {
        hint: "people send the token in <home>/operator-token, sidecars an access token of IssueToken",
      });
    },
  };
}
