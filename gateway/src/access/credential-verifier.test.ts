import { beforeEach, describe, expect, test } from "vitest";

import { testPrincipal } from "../test/test-access.ts";
import { createAttemptLimits } from "./attempt-limits.ts";
import { createCredentialVerifier, type CredentialVerifier } from "./credential-verifier.ts";

const OPERATOR = testPrincipal("local");
const ALICE = testPrincipal("alice");
const OWN = { origin: "http://127.0.0.1:8780" };

let verifier: CredentialVerifier;
let asked: string[];
beforeEach(() => {
  asked = [];
  verifier = createCredentialVerifier({
    operatorToken: { matches: (text) => text === "ohm_operator" },
    localOperator: OPERATOR,
    async verifyToken(token, address) {
      asked.push(`${token} of ${address}`);
      return token === "ohm_alice" ? ALICE : undefined;
    },
    async verifySession(secret) {
      asked.push(`session ${secret}`);
      return secret === "s" ? ALICE : undefined;
    },
    readSession: (cookies) => /session=(\w+)/.exec(cookies)?.[1],
    verifyAccessToken: async (token) => (token === "a.b.c" ? { sidecarId: "one", agentIds: ["one"] } : undefined),
    ownOrigins: () => [OWN.origin],
    limits: createAttemptLimits(),
  });
});

const verify = (headers: Record<string, string>, isGet = false) =>
  verifier.verify({ headers: new Headers(headers), address: "192.0.2.1", isGet });
const reason = (headers: Record<string, string>, isGet = false) =>
  verify(headers, isGet).then(
    ({ kind }) => kind,
    (error: { reason: string }) => error.reason,
  );

describe("a credential", () => {
  test("is the operator's token, anybody's token, a sidecar's access token or a session", async () => {
    expect(await verify({ authorization: "Bearer ohm_operator" })).toEqual({ kind: "principal", principal: OPERATOR });
    expect(asked).toEqual([]);
    expect(await verify({ authorization: "bearer  ohm_alice" })).toEqual({ kind: "principal", principal: ALICE });
    expect(asked).toEqual(["ohm_alice of 192.0.2.1"]);
    expect(await verify({ authorization: "Bearer a.b.c" })).toMatchObject({ kind: "sidecar", sidecarId: "one" });
    expect(await verify({ cookie: "session=s", ...OWN })).toEqual({ kind: "principal", principal: ALICE });
    expect(await verify({})).toEqual({ kind: "anonymous" });
    expect(await verify({ cookie: "theme=dark" })).toEqual({ kind: "anonymous" });
  });

  test.each(["Bearer ohm_alice2", "Bearer ohm_alice ohm_alice", "Bearer", "Basic YTpi", "ohm_alice", "Bearer x.y.z"])(
    "that is not valid is never taken for none, whatever the cookie says: %s",
    async (authorization) =>
      expect(await reason({ authorization, cookie: "session=s", ...OWN })).toBe("CREDENTIAL_INVALID"),
  );

  test("in a cookie works on the gateway's own pages only, and is not looked at elsewhere", async () => {
    const cookie = "session=s";
    expect(await reason({ cookie })).toBe("ORIGIN_REFUSED");
    expect(await reason({ cookie, origin: "https://evil.example" })).toBe("ORIGIN_REFUSED");
    expect(await reason({ cookie, origin: "null" })).toBe("ORIGIN_REFUSED");
    expect(await reason({ cookie, "sec-fetch-site": "cross-site" })).toBe("ORIGIN_REFUSED");
    expect(asked).toEqual([]);
    expect(await reason({ cookie, "sec-fetch-site": "same-origin" })).toBe("principal");
    expect(await reason({ cookie: "session=old", ...OWN })).toBe("CREDENTIAL_INVALID");
  });

  test("in a cookie opens a page that a link on another site leads to", async () => {
    expect(await reason({ cookie: "session=s", "sec-fetch-site": "cross-site" }, true)).toBe("principal");
  });

  test("that is guessed is limited; one that is valid is not, nor is one that is sent again, nor are sidecars that come back too late", async () => {
    for (let guess = 0; guess < 100; guess += 1) {
      expect(await reason({ authorization: "Bearer x.y.z" })).toBe("CREDENTIAL_INVALID");
    }
    for (let call = 0; call < 100; call += 1) {
      expect(await reason({ authorization: "Bearer ohm_expired" })).toBe("CREDENTIAL_INVALID");
    }
    for (let guess = 1; guess < 60; guess += 1) {
      expect(await reason({ authorization: `Bearer ohm_${guess}` })).toBe("CREDENTIAL_INVALID");
    }
    expect(await reason({ authorization: "Bearer ohm_60" })).toBe("ATTEMPTS_LIMITED");
    expect(await reason({ authorization: "Bearer ohm_expired" })).toBe("CREDENTIAL_INVALID");
    for (const authorization of ["Bearer ohm_alice", "Bearer ohm_operator", "Bearer a.b.c"]) {
      expect(await reason({ authorization })).toMatch(/principal|sidecar/);
    }
  });
});
