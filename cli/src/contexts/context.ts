/** The name of the home of this host; no context can have it. */
export const LOCAL = "local";

/** A gateway that a person works with, by a name of the person's choice. */
export interface Context {
  readonly name: string;
  /** Without a slash at its end. */
  readonly url: string;
  /** Whether the person let its token go to another host without TLS. */
  readonly insecure: boolean;
  /** Undefined: nobody is logged in. */
  readonly login: Login | undefined;
}

/** What `hermit login` got. */
export interface Login {
  /** The gateway that gave the token; it goes nowhere else. */
  readonly url: string;
  readonly token: string;
  readonly accessor: string;
  /** Who the token stands for, as on the command line. */
  readonly subject: string;
  /** Until when it works, ISO 8601. */
  readonly expireTime: string;
}

/** All contexts of a person. */
export interface Contexts {
  /** The one that is used when none is named; undefined: the home. */
  readonly current: string | undefined;
  /** Ordered by name. */
  readonly contexts: readonly Context[];
}

const NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

/** Whether the text may be the name of a context: letters, digits, `.`, `_`, `-`, at most 63, and not `local`. */
export function isContextName(text: string): boolean {
  return NAME.test(text) && text !== LOCAL;
}

/** The name of a context that has none yet: the gateway's host, with the port where it is not the usual one. */
export function contextNameOf(url: string): string {
  const { hostname, port } = new URL(url);
  const host = isLoopback(url) ? "localhost" : hostname.replaceAll(/[^A-Za-z0-9.-]+/g, "-").replaceAll(/^-+|-+$/g, "");
  const suffix = port === "" ? "" : `-${port}`;
  return `${host.slice(0, 57)}${suffix}`;
}

/** A URL as it is stored and compared: host in lower case, no default port, no slash at the end. */
export function normalUrl(text: string): string {
  const { origin, pathname } = new URL(text);
  return `${origin}${pathname}`.replace(/\/+$/, "");
}

/** Whether the URL is of this host, as far as its words go: nothing on the way could read along. */
export function isLoopback(url: string): boolean {
  const host = URL.canParse(url) ? new URL(url).hostname : "";
  return host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** Puts a context in the place of the one with its name. */
export function withContext(contexts: readonly Context[], context: Context): Context[] {
  return [...contexts.filter(({ name }) => name !== context.name), context];
}
