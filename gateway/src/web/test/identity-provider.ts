import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { exportJWK, generateKeyPair } from "jose";
// @ts-expect-error the package brings no types
import * as oidcProvider from "oidc-provider";
// @ts-expect-error the package brings no types
import MemoryAdapter from "oidc-provider/lib/adapters/memory_adapter.js";

/** A real provider of identities on loopback, at which one user is logged in. */
export interface IdentityProvider {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** What the provider says of the user; `sub` among it. */
  claims: Record<string, unknown>;
  /** Follows a redirect of the gateway as a browser does, until it leads back there: the URL of the callback. */
  visit(url: string): Promise<URL>;
  close(): Promise<void>;
}

// The part of oidc-provider that is used here.
interface Provider {
  callback(): (request: IncomingMessage, response: ServerResponse) => void;
  interactionFinished(request: IncomingMessage, response: ServerResponse, result: object): Promise<void>;
  readonly Grant: new (of: { clientId: string; accountId: string }) => {
    addOIDCScope(scope: string): void;
    save(): Promise<void>;
  };
}
interface GrantContext {
  oidc: {
    provider: Provider;
    client: { clientId: string };
    session: { accountId: string; grantIdFor(clientId: string): string | undefined };
  };
}

const CLIENT_ID = "gateway";
const CLIENT_SECRET = "a secret: with=odd/characters";

/** Starts the provider for a gateway with this callback URL. With `fullTokens` the ID token has all claims. */
export async function startIdentityProvider(options: {
  redirectUri: string;
  fullTokens?: boolean;
  authMethod?: "client_secret_basic" | "client_secret_post" | "none";
  port?: number;
}): Promise<IdentityProvider> {
  const { authMethod = "client_secret_basic" } = options;
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const state: IdentityProvider = {
    issuer,
    clientId: CLIENT_ID,
    clientSecret: CLIENT_SECRET,
    claims: { sub: "user-1" },
    visit,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  const provider = new (oidcProvider as { Provider: new (issuer: string, configuration: object) => Provider }).Provider(
    issuer,
    {
      clients: [
        {
          client_id: CLIENT_ID,
          ...(authMethod === "none" ? {} : { client_secret: CLIENT_SECRET }),
          redirect_uris: [options.redirectUri],
          token_endpoint_auth_method: authMethod,
        },
      ],
      clientAuthMethods: [authMethod],
      claims: { openid: ["sub"], profile: ["name", "preferred_username"], email: ["email"], groups: ["groups"] },
      scopes: ["openid", "profile", "email", "groups"],
      conformIdTokenClaims: options.fullTokens !== true,
      // A class of its own: the one as it comes warns that it is for tests.
      adapter: class extends (MemoryAdapter as new () => object) {},
      jwks: { keys: [await exportJWK(privateKey)] },
      ttl: Object.fromEntries(
        ["AccessToken", "AuthorizationCode", "Grant", "IdToken", "Interaction", "Session"].map((kind) => [kind, 600]),
      ),
      cookies: { keys: ["of a test"] },
      features: { devInteractions: { enabled: false } },
      findAccount: (_context: unknown, accountId: string) => ({ accountId, claims: () => state.claims }),
      interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
      // Nobody is asked whether the gateway may know what it asks for.
      async loadExistingGrant({ oidc }: GrantContext) {
        const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
        grant.addOIDCScope("openid profile email groups");
        await grant.save();
        return grant;
      },
    },
  );
  const answer = provider.callback();
  server.on("request", (request, response) => {
    if (request.url?.startsWith("/interaction/") === true) {
      void provider.interactionFinished(request, response, { login: { accountId: state.claims["sub"] } });
    } else {
      answer(request, response);
    }
  });
  return state;

  async function visit(start: string): Promise<URL> {
    const jar = new Map<string, string>();
    let url = new URL(start);
    while (url.origin === issuer) {
      const cookie = [...jar].map((pair) => pair.join("=")).join("; ");
      const response = await fetch(url, { redirect: "manual", headers: { cookie } });
      for (const line of response.headers.getSetCookie()) {
        const [pair = ""] = line.split(";");
        const at = pair.indexOf("=");
        jar.set(pair.slice(0, at), pair.slice(at + 1));
      }
      const location = response.headers.get("location");
      if (location === null) throw new Error(`the provider stopped with ${response.status}: ${await response.text()}`);
      url = new URL(location, url);
    }
    return url;
  }
}
