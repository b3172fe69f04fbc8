import { userInfo } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { optional, parseConfig, text, url, type Environment } from "@openhermit/config";

/** The folder of this checkout. */
export const repositoryRoot: string = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** What the command line takes from its surroundings. Flags win over it. */
export interface CliConfig {
  /** The home folder, absolute. */
  home: string;
  /** The gateway's URL; undefined: the one that stands in the home. */
  url: string | undefined;
  /** The operator token; undefined: the one that stands in the home. */
  token: string | undefined;
  /** Where `up` listens; undefined: the gateway's default. */
  listen: string | undefined;
  /** The database `up` uses; undefined: an embedded one in the home. */
  databaseUrl: string | undefined;
  /** Whether colour is unwanted (NO_COLOR, TERM=dumb). */
  noColor: boolean;
  /** The name of the operating system's user: the default conversation of `chat`. */
  userName: string;
  /** How the program was called, for the commands that messages suggest. */
  programName: string;
  /** The whole environment, for the gateway that `up` starts. */
  environment: Environment;
}

/** Reads the configuration. Throws ConfigError with all problems at once. */
export function readConfig(environment: Environment = process.env): CliConfig {
  const values = parseConfig(environment, {
    home: text({ env: "OPENHERMIT_HOME", fallback: join(repositoryRoot, ".openhermit") }),
    url: optional(url({ env: "OPENHERMIT_URL" })),
    token: optional(text({ env: "OPENHERMIT_TOKEN" })),
    listen: optional(text({ env: "OPENHERMIT_LISTEN" })),
    databaseUrl: optional(text({ env: "OPENHERMIT_DATABASE_URL" })),
    noColor: optional(text({ env: "NO_COLOR" })),
    term: optional(text({ env: "TERM" })),
  });
  return {
    home: resolve(values.home),
    url: values.url,
    token: values.token,
    listen: values.listen,
    databaseUrl: values.databaseUrl,
    noColor: values.noColor !== undefined || values.term === "dumb",
    userName: osUserName(),
    programName: "bin/hermit",
    environment,
  };
}

function osUserName(): string {
  try {
    return userInfo().username;
  } catch {
    // A user id without an entry in the password file, as in some containers.
    return `uid-${process.getuid?.() ?? 0}`;
  }
}
