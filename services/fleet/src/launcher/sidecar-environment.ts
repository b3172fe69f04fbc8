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

const PASSED_ON = [
  "PATH",
  "HOME",
  "LANG",
  "TMPDIR",
  "NODE_COMPILE_CACHE",
  "NODE_EXTRA_CA_CERTS",
  "OLLAMA_HOST",
] as const;

/** The whole environment of a sidecar: what it needs, the key of its own provider, and no other secret of the gateway. */
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
