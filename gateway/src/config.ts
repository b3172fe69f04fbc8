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
  type Field,
  type HostPort,
} from "@openhermit/config";

import { isLoopback } from "./listener/loopback.ts";

/** The roles, by name, from the lowest to the highest. */
export const ROLE_NAMES = ["viewer", "operator", "admin", "owner"] as const;
/** The name of a role. */
export type RoleName = (typeof ROLE_NAMES)[number];

/** An OpenID provider at which people log in. */
export interface OidcConfig {
  /** The URL of the issuer, as it names itself. */
  issuer: string;
  clientId: string;
  /** Undefined for a public client. */
  clientSecret: string | undefined;
  /** Which role a group of the provider gives; who is in none of them may not come in. */
  roles: ReadonlyMap<string, RoleName>;
  /** The claim that lists the groups. */
  groupsClaim: string;
  /** What stands on the button. */
  name: string;
}

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
  /** The same database as another role, which owns the tables: used for migrations only. Undefined: `databaseUrl` does both. */
  adminDatabaseUrl: string | undefined;
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
  /** Mixed into the hashes of tokens, the same on all gateways of a database. Empty: only the key in the database. */
  tokenPepper: string;
  /** How long the audit trail is kept, days. */
  auditRetentionDays: number;
  /** Where metrics are served without a credential; undefined: nowhere. */
  metricsListen: HostPort | undefined;
  /** The variables that MCP servers may name as secrets. Default none. */
  mcpSecrets: readonly string[];
  /** Undefined: people log in with passwords only. */
  oidc: OidcConfig | undefined;
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
      adminDatabaseUrl: optional(url({ env: "OPENHERMIT_ADMIN_DATABASE_URL", schemes: ["postgres", "postgresql"] })),
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
      tokenPepper: pepper("OPENHERMIT_TOKEN_PEPPER"),
      auditRetentionDays: integer({ env: "OPENHERMIT_AUDIT_RETENTION_DAYS", fallback: 400, min: 31, max: 36_500 }),
      metricsListen: optional(hostPort({ env: "OPENHERMIT_METRICS_LISTEN" })),
      mcpSecrets: secretNames("OPENHERMIT_MCP_SECRETS"),
      oidcIssuer: optional(url({ env: "OPENHERMIT_OIDC_ISSUER" })),
      oidcClientId: optional(text({ env: "OPENHERMIT_OIDC_CLIENT_ID" })),
      oidcClientSecretFile: optional(text({ env: "OPENHERMIT_OIDC_CLIENT_SECRET_FILE" })),
      oidcRoles: roleMap("OPENHERMIT_OIDC_ROLES"),
      oidcGroupsClaim: text({ env: "OPENHERMIT_OIDC_GROUPS_CLAIM", fallback: "groups" }),
      oidcName: text({ env: "OPENHERMIT_OIDC_NAME", fallback: "single sign-on" }),
    }),
  );
  const isSet = (variable: string) => (env[variable]?.trim() ?? "") !== "";
  const certFile = env["OPENHERMIT_TLS_CERT_FILE"]?.trim() ?? "";
  const keyFile = env["OPENHERMIT_TLS_KEY_FILE"]?.trim() ?? "";
  let tls: GatewayConfig["tls"];
  if ((certFile === "") !== (keyFile === "")) {
    problems.push("OPENHERMIT_TLS_CERT_FILE and OPENHERMIT_TLS_KEY_FILE go together; only one of them is set");
  } else if (certFile !== "") {
    const cert = readNamed("OPENHERMIT_TLS_CERT_FILE", certFile, problems);
    const key = readNamed("OPENHERMIT_TLS_KEY_FILE", keyFile, problems);
    tls = cert === undefined || key === undefined ? undefined : { cert, key };
  }
  if (isSet("OPENHERMIT_ADMIN_DATABASE_URL") && !isSet("OPENHERMIT_DATABASE_URL")) {
    problems.push("OPENHERMIT_ADMIN_DATABASE_URL goes with OPENHERMIT_DATABASE_URL, which is not set");
  }
  if (isSet("OPENHERMIT_OIDC_ISSUER") !== isSet("OPENHERMIT_OIDC_CLIENT_ID")) {
    problems.push("OPENHERMIT_OIDC_ISSUER and OPENHERMIT_OIDC_CLIENT_ID go together; only one of them is set");
  }
  const secretFile = env["OPENHERMIT_OIDC_CLIENT_SECRET_FILE"]?.trim() ?? "";
  const clientSecret =
    secretFile === "" ? undefined : readNamed("OPENHERMIT_OIDC_CLIENT_SECRET_FILE", secretFile, problems)?.trim();
  if (clientSecret === "") {
    problems.push(`OPENHERMIT_OIDC_CLIENT_SECRET_FILE names ${secretFile}, which is empty`);
  }
  if (values?.oidcIssuer !== undefined && !values.insecure && !isSafeIssuer(values.oidcIssuer)) {
    problems.push(
      "OPENHERMIT_OIDC_ISSUER must begin with https:// (http:// only on loopback, or with OPENHERMIT_INSECURE)",
    );
  }
  if (values === undefined || problems.length > 0) {
    throw new ConfigError(problems);
  }
  const { oidcIssuer: issuer, oidcClientId: clientId } = values;
  const oidc: OidcConfig | undefined =
    issuer === undefined || clientId === undefined
      ? undefined
      : {
          issuer,
          clientId,
          clientSecret,
          roles: values.oidcRoles,
          groupsClaim: values.oidcGroupsClaim,
          name: values.oidcName,
        };
  return {
    listen: values.listen,
    home: resolve(values.home),
    publicUrl: values.publicUrl,
    databaseUrl: values.databaseUrl,
    adminDatabaseUrl: values.adminDatabaseUrl,
    tls,
    insecure: values.insecure,
    logLevel: values.logLevel,
    logPretty: values.logPretty,
    lifelineFd: values.lifelineFd,
    drainMs: values.drainMs,
    tokenPepper: values.tokenPepper,
    auditRetentionDays: values.auditRetentionDays,
    metricsListen: values.metricsListen,
    mcpSecrets: values.mcpSecrets,
    oidc,
    environment: env,
  };
}

const MIN_PEPPER_LENGTH = 32;

/** Names of variables with commas between them. */
function secretNames(variable: string): Field<readonly string[]> {
  return {
    env: variable,
    fallback: { value: [] },
    parse(raw) {
      const names = raw.split(",").map((part) => part.trim());
      const wrong = names.find((name) => !/^[A-Z][A-Z0-9_]*$/.test(name));
      if (wrong === undefined) return names;
      throw new Error(`must be NAME,NAME with the names of variables, not "${wrong}"`);
    },
  };
}

function pepper(variable: string): Field<string> {
  return {
    ...text({ env: variable, fallback: "" }),
    parse(raw) {
      // The text is not repeated.
      if (raw.length < MIN_PEPPER_LENGTH) {
        throw new Error(
          `must have at least ${MIN_PEPPER_LENGTH} characters, for example those of: openssl rand -hex 32`,
        );
      }
      return raw;
    },
  };
}

/** `group=role,group=role`. A group may hold `=`, but no comma. */
function roleMap(variable: string): Field<ReadonlyMap<string, RoleName>> {
  return {
    env: variable,
    fallback: { value: new Map() },
    parse(raw) {
      const roles = new Map<string, RoleName>();
      for (const entry of raw.split(",").map((part) => part.trim())) {
        const at = entry.lastIndexOf("=");
        const group = entry.slice(0, Math.max(at, 0)).trim();
        const role = ROLE_NAMES.find((name) => name === entry.slice(at + 1).trim());
        if (group === "" || role === undefined) {
          throw new Error(`must be GROUP=ROLE,GROUP=ROLE with the roles ${ROLE_NAMES.join(", ")}, not "${entry}"`);
        }
        if (roles.has(group)) {
          throw new Error(`names the group "${group}" twice`);
        }
        roles.set(group, role);
      }
      return roles;
    },
  };
}

function isSafeIssuer(issuer: string): boolean {
  const { protocol, hostname } = new URL(issuer);
  return protocol === "https:" || isLoopback(hostname.replace(/^\[|\]$/g, ""));
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

function readNamed(variable: string, path: string, problems: string[]): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    problems.push(
      `${variable} names ${path}, which can't be read: ${(error as NodeJS.ErrnoException).code ?? "error"}`,
    );
    return undefined;
  }
}
