import { homedir, userInfo } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { flag, optional, parseConfig, text, url, type Environment } from "@openhermit/config";

/** The folder of this checkout. */
export const repositoryRoot: string = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** What the command line takes from its surroundings. Flags win over it. */
export interface CliConfig {
  /** The home folder, absolute. */
  home: string;
  /** Whether somebody named the home; then it wins over the current context. */
  homeGiven: boolean;
  /** The gateway's URL; undefined: the one of the context, or the one that stands in the home. */
  url: string | undefined;
  /** The context that was named, `local` for the home; undefined: the current one. */
  context: string | undefined;
  /** The token that was handed over; undefined: the one of the context, or the one that stands in the home. */
  token: string | undefined;
  /** Whether a token may go to another host without TLS. */
  insecure: boolean;
  /** The folder of contexts and logins, absolute. */
  configFolder: string;
  /** Where `up` listens; undefined: the gateway's default. */
  listen: string | undefined;
  /** The database `up` uses; undefined: an embedded one in the home. */
  databaseUrl: string | undefined;
  /** Whether colour is unwanted (NO_COLOR, TERM=dumb). */
  noColor: boolean;
  /** Whether a browser can be opened on this machine's screen. */
  hasScreen: boolean;
  /** Whether the person sits at another machine (SSH). */
  isRemoteShell: boolean;
  /** The name of the operating system's user: the default conversation of `chat`. */
  userName: string;
  /** The whole environment, for the gateway that `up` starts. */
  environment: Environment;
}

/** Reads the configuration. Throws ConfigError with all problems at once. */
export function readConfig(environment: Environment = process.env): CliConfig {
  const values = parseConfig(environment, {
    home: optional(text({ env: "OPENHERMIT_HOME" })),
    url: optional(url({ env: "OPENHERMIT_URL" })),
    context: optional(text({ env: "OPENHERMIT_CONTEXT" })),
    token: optional(text({ env: "OPENHERMIT_TOKEN" })),
    insecure: flag({ env: "OPENHERMIT_INSECURE" }),
    listen: optional(text({ env: "OPENHERMIT_LISTEN" })),
    databaseUrl: optional(text({ env: "OPENHERMIT_DATABASE_URL" })),
    noColor: optional(text({ env: "NO_COLOR" })),
    term: optional(text({ env: "TERM" })),
    configHome: optional(text({ env: "XDG_CONFIG_HOME" })),
    display: optional(text({ env: "DISPLAY" })),
    waylandDisplay: optional(text({ env: "WAYLAND_DISPLAY" })),
    sshConnection: optional(text({ env: "SSH_CONNECTION" })),
  });
  const { configHome } = values;
  // The XDG specification says to ignore a relative path.
  const configRoot = configHome !== undefined && isAbsolute(configHome) ? configHome : join(homedir(), ".config");
  const isRemoteShell = values.sshConnection !== undefined;
  return {
    home: values.home === undefined ? join(repositoryRoot, ".openhermit") : resolve(values.home),
    homeGiven: values.home !== undefined,
    url: values.url,
    context: values.context,
    token: values.token,
    insecure: values.insecure,
    configFolder: join(configRoot, "openhermit"),
    listen: values.listen,
    databaseUrl: values.databaseUrl,
    noColor: values.noColor !== undefined || values.term === "dumb",
    hasScreen:
      process.platform === "darwin"
        ? !isRemoteShell
        : values.display !== undefined || values.waylandDisplay !== undefined,
    isRemoteShell,
    userName: osUserName(),
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
