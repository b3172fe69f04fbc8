import type { ExternalIdentity } from "@openhermit/access-service";
import { MeshError, toError, unauthenticated, unavailable } from "@openhermit/errors";
import * as oidc from "openid-client";

import type { OidcConfig } from "../config.ts";
import { roleOfGroups } from "./oidc-roles.ts";

/** What a browser keeps of a login with a provider that it has begun. Without it nobody can end that login. */
export interface BegunLogin {
  readonly state: string;
  readonly nonce: string;
  /** The secret of PKCE, RFC 7636. */
  readonly verifier: string;
}

/** Logs people in with a provider of identities: OpenID Connect, authorization code with PKCE, state and nonce. */
export interface OidcClient {
  /** Begins a login: where the browser goes, and what it keeps. Errors: IDENTITY_PROVIDER_UNAVAILABLE. */
  begin(): Promise<{ url: URL; begun: BegunLogin }>;
  /**
   * Ends a login with what the provider sent the browser back with: the parameters of the callback's URL.
   * Errors: OIDC_LOGIN_INVALID, IDENTITY_PROVIDER_UNAVAILABLE.
   */
  finish(search: string, begun: BegunLogin): Promise<ExternalIdentity>;
}

const TIMEOUT_S = 10;
/** How long what the provider says of itself is kept. */
const DISCOVERY_MS = 3_600_000;

/** Creates the client. The provider is asked at the first login, not before: the gateway starts without it. */
export function createOidcClient(options: { config: OidcConfig; callbackUrl(): string }): OidcClient {
  const { config, callbackUrl } = options;
  const issuer = new URL(config.issuer);
  let discovered: { at: number; client: Promise<oidc.Configuration> } | undefined;

  function provider(): Promise<oidc.Configuration> {
    if (discovered === undefined || performance.now() - discovered.at > DISCOVERY_MS) {
      const client = discover(config, issuer).catch((error: unknown) => {
        throw unreachable(error);
      });
      discovered = { at: performance.now(), client };
      client.catch(() => (discovered = undefined));
    }
    return discovered.client;
  }

  return {
    async begin() {
      const client = await provider();
      const begun = {
        state: oidc.randomState(),
        nonce: oidc.randomNonce(),
        verifier: oidc.randomPKCECodeVerifier(),
      };
      // Some providers give groups only when asked, others refuse a scope that they don't know.
      const groups = client.serverMetadata().scopes_supported?.includes("groups") === true ? " groups" : "";
      const url = oidc.buildAuthorizationUrl(client, {
        redirect_uri: callbackUrl(),
        scope: `openid profile email${groups}`,
        state: begun.state,
        nonce: begun.nonce,
        code_challenge: await oidc.calculatePKCECodeChallenge(begun.verifier),
        code_challenge_method: "S256",
      });
      if (!isSafe(url, issuer)) {
        throw unavailable("IDENTITY_PROVIDER_UNAVAILABLE", `${config.name} wants people to log in without https`);
      }
      return { url, begun };
    },
    async finish(search, begun) {
      const current = new URL(callbackUrl());
      current.search = search;
      try {
        const client = await provider();
        const tokens = await oidc.authorizationCodeGrant(client, current, {
          pkceCodeVerifier: begun.verifier,
          expectedState: begun.state,
          expectedNonce: begun.nonce,
          idTokenExpected: true,
        });
        const claims = tokens.claims();
        if (claims === undefined) {
          throw new Error("the provider sent no ID token");
        }
        // Many providers keep ID tokens small and tell the rest when asked.
        const isShort = claims[config.groupsClaim] === undefined || claims["preferred_username"] === undefined;
        const asksMore = isShort && client.serverMetadata().userinfo_endpoint !== undefined;
        const more = asksMore ? await oidc.fetchUserInfo(client, tokens.access_token, claims.sub) : {};
        return identityOf({ ...more, ...claims });
      } catch (error) {
        return refuse(error);
      }
    },
  };

  function identityOf(claims: oidc.IDToken): ExternalIdentity {
    const text = (name: string): string | undefined => {
      const value = claims[name];
      return typeof value === "string" && value !== "" ? value : undefined;
    };
    const preferredName = text("preferred_username") ?? text("email")?.split("@")[0] ?? claims.sub;
    const groups = [claims[config.groupsClaim]].flat().filter((group) => typeof group === "string");
    return {
      issuer: claims.iss,
      subject: claims.sub,
      preferredName,
      displayName: text("name") ?? preferredName,
      role: roleOfGroups(config.roles, groups),
    };
  }

  function refuse(thrown: unknown): never {
    if (thrown instanceof MeshError) {
      throw thrown;
    }
    const cause = toError(thrown);
    if (isOutage(cause)) {
      throw unreachable(cause);
    }
    throw unauthenticated("OIDC_LOGIN_INVALID", `the login with ${config.name} did not come to an end`, {
      hint: "begin it again",
      cause,
    });
  }

  function unreachable(cause: unknown): MeshError {
    const message = `${config.name} can't be reached, or does not answer as it should`;
    const hint = "try again in a moment, or log in with a password";
    return unavailable("IDENTITY_PROVIDER_UNAVAILABLE", message, { hint, cause });
  }
}

async function discover(config: OidcConfig, issuer: URL): Promise<oidc.Configuration> {
  const { clientId, clientSecret: secret } = config;
  return oidc.discovery(issuer, clientId, undefined, secret === undefined ? oidc.None() : sendSecret(secret), {
    timeout: TIMEOUT_S,
    [oidc.customFetch]: async (url, init) => {
      if (!isSafe(new URL(url), issuer)) {
        throw new TypeError("the provider of identities names an address without https");
      }
      return fetch(url, init as RequestInit);
    },
    // The first: addresses are checked above, one by one. The second: ID tokens are verified, not just received.
    execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks],
  });
}

// Basic is what the specification presumes; a few providers take the secret in the body only.
function sendSecret(secret: string): oidc.ClientAuth {
  const [basic, post] = [oidc.ClientSecretBasic(secret), oidc.ClientSecretPost(secret)];
  return (server, client, body, headers) => {
    const methods = server.token_endpoint_auth_methods_supported ?? ["client_secret_basic"];
    const usesPost = methods.includes("client_secret_post") && !methods.includes("client_secret_basic");
    (usesPost ? post : basic)(server, client, body, headers);
  };
}

// The configuration lets an issuer do without https on this machine only, unless it was told otherwise. Then its own
// host may, and nothing else.
function isSafe(url: URL, issuer: URL): boolean {
  return url.protocol === "https:" || (issuer.protocol === "http:" && url.host === issuer.host);
}

// Whatever is not about this one login.
function isOutage(error: Error): boolean {
  if (error instanceof oidc.ResponseBodyError || error instanceof oidc.AuthorizationResponseError) {
    return error instanceof oidc.ResponseBodyError && (error.status >= 500 || error.error === "invalid_client");
  }
  const code = "code" in error ? String(error.code) : "";
  return !(error instanceof oidc.ClientError) || /TIMEOUT|RESPONSE_IS_NOT_(JSON|CONFORM)|METADATA/.test(code);
}
