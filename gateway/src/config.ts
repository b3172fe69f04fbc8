import { readFileSync } from "node:fs";
import { resolve } from "node:path";

import {
  ConfigError,
  flag,
  hostPort,
  integer,
  oneOf,
  optional,
  parseConfig,
  text,
  url,
  type Environment,
  type HostPort,
} from "@openhermit/config";

/** What a gateway needs to know. */
export interface GatewayConfig {
  /** Where it listens. Port 0 lets the system choose. */
  listen: HostPort;
  /** The home, absolute. */
  home: string;
  /** The URL at which others reach the gateway, where it is not the one it listens on: behind a proxy, or with a certificate. */
  publicUrl: string | undefined;
  /** The database; undefined starts the embedded one in the home. */
  databaseUrl: string | undefined;
  /** PEM texts; undefined means plain text. */
  tls: { cert: string; key: string } | undefined;
  /** Allows plain text on a host that is not loopback. */
  insecure: boolean;
  /** The lowest level that is logged. */
  logLevel: string;
  /** One readable line instead of JSON. */
  logPretty: boolean;
  /** A pipe whose end means that whoever started the gateway is gone. */
  lifelineFd: number | undefined;
  /** How long running turns may take when the gateway stops, ms. */
  drainMs: number;
  /** The environment the launcher picks from: PATH, locale, OTEL_*, the API keys of providers. */
  environment: Environment;
}

/** Reads the configuration. Throws a ConfigError that lists all problems at once. */
export function readConfig(env: Environment = process.env): GatewayConfig {
  const problems: string[] = [];
  const values = collect(problems, () =>
    parseConfig(env, {
      listen: hostPort({ env: "OPENHERMIT_LISTEN", fallback: "127.0.0.1:8780" }),
      home: text({ env: "OPENHERMIT_HOME", fallback: ".openhermit" }),
      publicUrl: optional(url({ env: "OPENHERMIT_PUBLIC_URL" })),
      databaseUrl: optional(url({ env: "OPENHERMIT_DATABASE_URL", schemes: ["postgres", "postgresql"] })),
      tlsCertFile: optional(text({ env: "OPENHERMIT_TLS_CERT_FILE" })),
      tlsKeyFile: optional(text({ env: "OPENHERMIT_TLS_KEY_FILE" })),
      insecure: flag({ env: "OPENHERMIT_INSECURE" }),
      logLevel: oneOf({
        env: "OPENHERMIT_LOG_LEVEL",
        values: ["trace", "debug", "info", "warn", "error", "fatal", "silent"],
        fallback: "info",
      }),
      logPretty: flag({ env: "OPENHERMIT_LOG_PRETTY" }),
      lifelineFd: optional(integer({ env: "OPENHERMIT_LIFELINE_FD", min: 3, max: 1_048_576 })),
      drainMs: integer({ env: "OPENHERMIT_DRAIN_MS", fallback: 10_000, min: 0, max: 600_000 }),
    }),
  );
  const certFile = env["OPENHERMIT_TLS_CERT_FILE"]?.trim() ?? "";
  const keyFile = env["OPENHERMIT_TLS_KEY_FILE"]?.trim() ?? "";
  let tls: GatewayConfig["tls"];
  if ((certFile === "") !== (keyFile === "")) {
    problems.push("OPENHERMIT_TLS_CERT_FILE and OPENHERMIT_TLS_KEY_FILE go together; only one of them is set");
  } else if (certFile !== "") {
    const cert = readPem("OPENHERMIT_TLS_CERT_FILE", certFile, problems);
    const key = readPem("OPENHERMIT_TLS_KEY_FILE", keyFile, problems);
    tls = cert === undefined || key === undefined ? undefined : { cert, key };
  }
  if (values === undefined || problems.length > 0) {
    throw new ConfigError(problems);
  }
  const { tlsCertFile: _cert, tlsKeyFile: _key, home, ...rest } = values;
  return { ...rest, home: resolve(home), tls, environment: env };
}

function collect<Value>(problems: string[], read: () => Value): Value | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof ConfigError) {
      problems.push(...error.problems);
      return undefined;
    }
    throw error;
  }
}

function readPem(variable: string, path: string, problems: string[]): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    problems.push(
      `${variable} names ${path}, which can't be read: ${(error as NodeJS.ErrnoException).code ?? "error"}`,
    );
    return undefined;
  }
}
