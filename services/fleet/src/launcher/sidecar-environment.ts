import { createHash } from "node:crypto";

/** What the environment of a sidecar is made of. */
export interface SidecarEnvironmentOptions {
  /** The gateway's environment. */
  from: Readonly<Record<string, string | undefined>>;
  gatewayUrl: string;
  /** The sidecar's own folder. */
  home: string;
  joinTokenFile: string;
  /** The variable with the key of the agent's provider; empty for none. */
  apiKeyEnv: string;
  hasLifeline: boolean;
}

/** The number under which a sidecar finds the lifeline of its supervisor. */
export const LIFELINE_FD = 3;

/** How variables with keys of providers and secrets of MCP servers are called. */
const SECRET_NAME = /(?:KEY|TOKEN|SECRET|PASSWORD)$/;

const PASSED_ON = [
  "PATH",
  "HOME",
  "LANG",
  "TMPDIR",
  "NODE_COMPILE_CACHE",
  "NODE_EXTRA_CA_CERTS",
  "OLLAMA_HOST",
] as const;

/**
 * The environment of a sidecar without what its MCP servers need: what it needs itself, the key of its own provider, and no other
 * secret of the gateway.
 */
export function sidecarEnvironment(options: SidecarEnvironmentOptions): Record<string, string> {
  const { from, gatewayUrl, home, joinTokenFile, apiKeyEnv, hasLifeline } = options;
  const telemetry = Object.keys(from).filter((name) => name.startsWith("OTEL_"));
  const names = [...PASSED_ON, ...telemetry, ...(apiKeyEnv === "" ? [] : [apiKeyEnv])];
  const result: Record<string, string> = {};
  for (const name of names) {
    const value = from[name];
    if (value !== undefined) result[name] = value;
  }
  return {
    ...result,
    OPENHERMIT_GATEWAY_URL: gatewayUrl,
    OPENHERMIT_SIDECAR_HOME: home,
    OPENHERMIT_JOIN_TOKEN_FILE: joinTokenFile,
    ...(hasLifeline && { OPENHERMIT_LIFELINE_FD: String(LIFELINE_FD) }),
  };
}

/**
 * What the MCP servers of an agent need: the variables that they refer to as secrets, as far as the gateway has them. The mesh's own
 * credentials never, and none that is not `listed` by whoever runs the gateway: naming one in a server's header must not be a way for any
 * operator to have it sent somewhere. The sidecar gets the list too, since the key of its provider is in its environment as well.
 *
 * They stand in no fingerprint. Servers come and go while a sidecar runs, and that must not restart it: not when the list changes,
 * and not when another gateway adopts it. So a new or rotated variable reaches a sidecar with its next start; until then the server
 * that needs it says so in its health.
 */
export function secretEnvironment(
  from: Readonly<Record<string, string | undefined>>,
  names: readonly string[],
  listed: readonly string[],
): Record<string, string> {
  if (listed.length === 0) return {};
  const allowed = names.filter((name) => !name.startsWith("OPENHERMIT_") && listed.includes(name));
  const values = Object.fromEntries(allowed.flatMap((name) => (from[name] === undefined ? [] : [[name, from[name]]])));
  return { ...values, OPENHERMIT_MCP_SECRETS: listed.join(",") };
}

/** The values of a gateway's environment that must not stand in what people see, by the names of their variables. */
export function secretValues(from: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(from).flatMap(([name, value = ""]) => (SECRET_NAME.test(name) && value !== "" ? [value] : []));
}

/** Tells whether a running sidecar was started as one would be started now. Says nothing of what it is made of. */
export function fingerprintOf(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  lifeline: string,
): string {
  const ordered = Object.entries(env).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([command, ordered, lifeline]))
    .digest("hex");
}
