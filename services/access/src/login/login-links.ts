/** The links of the gateway's pages that take a code. */
export interface LoginLinks {
  setup(code: string): string;
  invite(code: string): string;
  login(code: string): string;
}

/** Makes links to a gateway, whose URL may change until it listens. */
export function createLoginLinks(gatewayUrl: () => string): LoginLinks {
  const link =
    (page: string) =>
    (code: string): string =>
      `${gatewayUrl()}/${page}?code=${encodeURIComponent(code)}`;
  return { setup: link("setup"), invite: link("invite"), login: link("login") };
}
