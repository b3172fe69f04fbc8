import { createServer, type AddressInfo } from "node:net";

import { Role } from "@openhermit/protocol/access/v1/subject";
import { afterEach, describe, expect, test } from "vitest";

import type { OidcConfig, RoleName } from "../config.ts";
import { startIdentityProvider, type IdentityProvider } from "./test/identity-provider.ts";
import { createPageVisitor, type PageVisitor } from "./test/page-visitor.ts";
import { startWeb, type TestWeb } from "./test/web-fixture.ts";

const ALICE = { sub: "user-1", preferred_username: "alice", name: "Alice Ångström", email: "a@example.org" };
let web: TestWeb;
let provider: IdentityProvider;
let visitor: PageVisitor;
let now = () => new Date();

afterEach(async () => {
  now = () => new Date();
  await Promise.all([web.close(), provider.close()]);
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function start(
  options: Partial<Parameters<typeof startIdentityProvider>[0]> = {},
  config: Partial<OidcConfig> = {},
): Promise<void> {
  const port = await freePort();
  provider = await startIdentityProvider({ redirectUri: `http://127.0.0.1:${port}/login/oidc/callback`, ...options });
  const roles = new Map<string, RoleName>([
    ["staff", "viewer"],
    ["sre", "admin"],
    ["dev", "operator"],
  ]);
  const { issuer, clientId } = provider;
  const clientSecret = options.authMethod === "none" ? undefined : provider.clientSecret;
  const oidc = { issuer, clientId, clientSecret, roles, groupsClaim: "groups", name: "Example ID", ...config };
  web = await startWeb({ port, oidc, now: () => now() });
  visitor = createPageVisitor(web.url);
}

/** Goes to the provider and to where it leads back. */
async function begin(next = ""): Promise<string> {
  const away = await visitor.open(`/login/oidc${next}`);
  expect(away.status).toBe(303);
  const back = await provider.visit(away.location ?? "");
  expect(back.origin + back.pathname).toBe(`${web.url}/login/oidc/callback`);
  return back.pathname + back.search;
}

const identities = () => web.calls.filter(({ name }) => name === "logInExternally");

describe("a login with a provider of identities", () => {
  test.each([
    { authMethod: "client_secret_basic", fullTokens: false },
    { authMethod: "client_secret_post", fullTokens: true },
    { authMethod: "none", fullTokens: true },
  ] as const)("tells who it is and the highest role of the groups, with %j", async (options) => {
    await start(options);
    expect((await visitor.open("/login")).text).toMatch(/href="\/login\/oidc\?next=%2F">Log in with Example ID</);
    provider.claims = { ...ALICE, groups: ["staff", "sre", "dev", "other"] };
    const login = await visitor.open(await begin("?next=/%3Fpage_token=x"));
    expect([login.status, login.location]).toEqual([303, "/?page_token=x"]);
    expect([...visitor.cookies.keys()]).toEqual(["openhermit_session"]);
    expect(identities()).toMatchObject([
      {
        argument: {
          identity: {
            issuer: provider.issuer,
            subject: "user-1",
            preferredName: "alice",
            displayName: "Alice Ångström",
            role: Role.ADMIN,
          },
          attempt: { address: "127.0.0.1" },
        },
      },
    ]);
    expect((await visitor.open("/")).status).toBe(200);
  });

  test("of somebody in no group that may come in ends with a page that says so", async () => {
    await start();
    provider.claims = { ...ALICE, groups: ["other"] };
    const page = await visitor.open(await begin());
    expect(page.status).toBe(403);
    expect(page.text).toContain("none of your groups there may come in here");
    expect(visitor.cookies.has("openhermit_session")).toBe(false);
    expect(identities()).toMatchObject([{ argument: { identity: { role: undefined } } }]);
  });

  test("reads the claim it is told to, one group without a list too, and `*` as everybody", async () => {
    const roles = new Map<string, RoleName>([
      ["*", "viewer"],
      ["dev", "operator"],
    ]);
    await start({ fullTokens: true }, { roles, groupsClaim: "email" });
    provider.claims = { ...ALICE, email: "dev" };
    await visitor.open(await begin());
    provider.claims = { sub: "user-2", email: "someone@example.org" };
    visitor = createPageVisitor(web.url);
    await visitor.open(await begin());
    expect(identities()).toMatchObject([
      { argument: { identity: { role: Role.OPERATOR } } },
      { argument: { identity: { subject: "user-2", preferredName: "someone", role: Role.VIEWER } } },
    ]);
  });

  test("works in the browser that began it, once, within ten minutes", async () => {
    await start();
    provider.claims = { ...ALICE, groups: ["dev"] };
    const callback = await begin();
    const stranger = createPageVisitor(web.url);
    const stolen = await stranger.open(callback);
    expect([stolen.status, stranger.cookies.size]).toEqual([401, 0]);
    expect(stolen.text).toContain("No login was begun in this browser");
    now = () => new Date(Date.now() + 601_000);
    const cookies = new Map(visitor.cookies);
    expect((await visitor.open(callback)).status).toBe(401);
    now = () => new Date();
    for (const [name, value] of cookies) visitor.cookies.set(name, value);
    expect((await visitor.open(callback)).status).toBe(303);
    for (const [name, value] of cookies) visitor.cookies.set(name, value);
    expect((await visitor.open(callback)).status).toBe(401);
    expect(identities()).toHaveLength(1);
    expect(web.denials.map(({ reason }) => reason)).toEqual(Array<string>(3).fill("OIDC_LOGIN_INVALID"));
  });

  test("with another state, another nonce or a code of another browser is refused", async () => {
    await start();
    provider.claims = { ...ALICE, groups: ["dev"] };
    const victim = visitor;
    const attacker = createPageVisitor(web.url);
    visitor = attacker;
    const attackers = new URL(await begin(), web.url);
    visitor = victim;
    const own = new URL(await begin(), web.url);
    const cookie = victim.cookies.get("openhermit_oidc") ?? "";
    const kept = JSON.parse(Buffer.from(cookie, "base64url").toString()) as Record<string, string>;
    const tries: [URL, object][] = [
      [attackers, {}],
      // The state fits, the code is the attacker's: PKCE tells.
      [
        new URL(
          `/login/oidc/callback?${new URLSearchParams({ ...Object.fromEntries(attackers.searchParams), state: kept["state"] ?? "" }).toString()}`,
          web.url,
        ),
        {},
      ],
      [own, { nonce: "another" }],
      [new URL("/login/oidc/callback?error=access_denied&state=x", web.url), {}],
      [new URL("/login/oidc/callback", web.url), {}],
    ];
    for (const [url, changed] of tries) {
      const value = Buffer.from(JSON.stringify({ ...kept, ...changed })).toString("base64url");
      victim.cookies.set("openhermit_oidc", value);
      expect((await victim.open(url.pathname + url.search)).status).toBe(401);
    }
    expect(identities()).toEqual([]);
    expect(victim.cookies.size).toBe(0);
  });

  test("says that the provider is away, and works again when it is back", async () => {
    await start();
    const { port } = new URL(provider.issuer);
    await provider.close();
    const away = await visitor.open("/login/oidc");
    expect(away.status).toBe(503);
    expect(away.text).toContain("Example ID can&#39;t be reached");
    provider = await startIdentityProvider({ redirectUri: `${web.url}/login/oidc/callback`, port: Number(port) });
    provider.claims = { ...ALICE, groups: ["dev"] };
    expect((await visitor.open(await begin())).status).toBe(303);
  });

  test("with a wrong secret is the gateway's trouble, not the person's", async () => {
    await start({}, { clientSecret: "wrong" });
    provider.claims = { ...ALICE, groups: ["dev"] };
    expect((await visitor.open(await begin())).status).toBe(503);
    expect(identities()).toEqual([]);
  });

  test("leads to no other site and does not begin for a look", async () => {
    await start();
    provider.claims = { ...ALICE, groups: ["dev"] };
    expect((await visitor.open("/login/oidc", { method: "HEAD" })).headers.getSetCookie()).toEqual([]);
    expect((await visitor.open(await begin("?next=//evil.example"))).location).toBe("/");
  });
});

test("without a provider there is no such path", async () => {
  await start();
  await web.close();
  web = await startWeb();
  expect((await createPageVisitor(web.url).open("/login")).text).not.toContain("oidc");
  expect((await fetch(`${web.url}/login/oidc`)).status).toBe(401);
});
