import { statSync } from "node:fs";
import { join } from "node:path";
import type { CliConfig } from "./config.ts";
import { CONFIG_FILE, CREDENTIALS_FILE, readContexts } from "./contexts/context-store.ts";
import { failed, ok, type Finding } from "./doctor-finding.ts";
import { toCliError } from "./error-report.ts";
import { findGateway, findPlace } from "./find-gateway.ts";
import { untilText } from "./output/time-text.ts";

/** Looks at the contexts and logins of this user; nothing for whoever has none. */
export async function* checkLogins(config: CliConfig): AsyncGenerator<Finding> {
  const { configFolder } = config;
  const credentials = join(configFolder, CREDENTIALS_FILE);
  if (modeOf(credentials) === undefined && modeOf(join(configFolder, CONFIG_FILE)) === undefined) return;
  yield checkPermissions(configFolder, credentials);
  try {
    const { contexts } = await readContexts(configFolder);
    yield ok("contexts", contexts.map(({ name }) => name).join(", ") || "none");
  } catch (error) {
    const { message, why = "", next = "" } = toCliError(error);
    yield failed("contexts", `${message}: ${why}`, next);
    return;
  }
  yield* checkLogin(config);
}

function checkPermissions(folder: string, credentials: string): Finding {
  if (((modeOf(folder) ?? 0) & 0o077) !== 0) {
    return failed("credentials", `others can look into ${folder}`, `chmod 700 ${folder}`);
  }
  if (((modeOf(credentials) ?? 0) & 0o077) !== 0) {
    const fix = `chmod 600 ${credentials}; log in again if somebody has read it: bin/hermit logout, bin/hermit login`;
    return failed("credentials", `others can read ${credentials}`, fix);
  }
  return ok("credentials", `${credentials}, for this user alone`);
}

/** The login of the context that commands use here; nothing where they use none. */
async function* checkLogin(config: CliConfig): AsyncGenerator<Finding> {
  // What stands in its way is told by the check of the gateway.
  const place = await findPlace(config).catch(() => undefined);
  if (!place?.context) return;
  const { name, login } = place.context;
  const check = `context ${name}`;
  const fix = `bin/hermit login --context ${name}`;
  if (!login) {
    yield failed(check, `nobody is logged in to ${place.url}`, fix);
    return;
  }
  const found = await findGateway(config).catch(() => undefined);
  if (found?.source.kind === "environment") {
    yield ok(check, "OPENHERMIT_TOKEN is used instead of its login");
  } else if (Date.parse(login.expireTime) <= Date.now()) {
    yield failed(check, `the login of ${login.subject} has ended`, fix);
  } else {
    yield ok(check, `${login.subject} is logged in to ${place.url}, for ${untilText(new Date(login.expireTime))} more`);
  }
}

const modeOf = (path: string): number | undefined => statSync(path, { throwIfNoEntry: false })?.mode;
