import { isAbsolute, resolve } from "node:path";

import { integer, optional, parseConfig, text, url, type Environment } from "@openhermit/config";

/** The configuration of a sidecar process. */
export interface SidecarConfig {
  /** Where the gateway is. */
  readonly gatewayUrl: string;
  /** The folder of this sidecar alone, absolute: key, ledger, workspaces. */
  readonly home: string;
  /** A file with a join token; deleted after its use. */
  readonly joinTokenFile: string | undefined;
  /** A file descriptor whose end means that the supervisor is gone. */
  readonly lifelineFd: number | undefined;
  /** The marker of this sidecar's child processes, if a supervisor gave one. */
  readonly owner: string | undefined;
  /** The lowest level that is logged. */
  readonly logLevel: string;
  /** The bound of the outbox on disk, in bytes. */
  readonly outboxMaxBytes: number;
  /** The bound of the copy of all transcripts on disk, in bytes. */
  readonly transcriptMaxBytes: number;
  /** The bound of the ledger's file, in bytes: past it writes fail as on a full disk. None by default. */
  readonly ledgerMaxBytes: number | undefined;
  /** The environment: API keys, PATH and HOME of children, OTEL_*. */
  readonly env: Environment;
}

const MIB = 1024 * 1024;

/** Reads the configuration from an environment, by default that of this process. Throws a ConfigError with all problems. */
export function readSidecarConfig(env: Environment = process.env): SidecarConfig {
  const parsed = parseConfig(env, {
    gatewayUrl: url({ env: "OPENHERMIT_GATEWAY_URL" }),
    home: text({ env: "OPENHERMIT_SIDECAR_HOME" }),
    joinTokenFile: optional(text({ env: "OPENHERMIT_JOIN_TOKEN_FILE" })),
    lifelineFd: optional(integer({ env: "OPENHERMIT_LIFELINE_FD", min: 3, max: 1023 })),
    owner: optional(text({ env: "OPENHERMIT_OWNER" })),
    logLevel: text({ env: "OPENHERMIT_LOG_LEVEL", fallback: "info" }),
    outboxMaxBytes: integer({ env: "OPENHERMIT_OUTBOX_MAX_BYTES", fallback: 256 * MIB, min: 64 * 1024 }),
    transcriptMaxBytes: integer({ env: "OPENHERMIT_TRANSCRIPT_MAX_BYTES", fallback: 64 * MIB, min: 64 * 1024 }),
    ledgerMaxBytes: optional(integer({ env: "OPENHERMIT_LEDGER_MAX_BYTES", min: MIB })),
  });
  return { ...parsed, home: isAbsolute(parsed.home) ? parsed.home : resolve(parsed.home), env };
}
