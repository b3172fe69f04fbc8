import type { Logins } from "@openhermit/access-service";
import type { Log } from "@openhermit/telemetry";

import { loginPath, setupPath } from "./web/web.ts";

/** Links for whoever started the gateway. Each works once, and is a secret. */
export interface WaysIn {
  /** Opens a browser session of the local operator. */
  readonly loginUrl?: string;
  /** Makes the first owner; only while there is none. */
  readonly setupUrl?: string;
}

/** Makes the links; none while the database is away. */
export async function createWaysIn(
  logins: Pick<Logins, "hasOwner" | "createLoginLinkCode" | "createSetupCode">,
  url: string,
  log: Log,
): Promise<WaysIn> {
  try {
    const [login, owned] = await Promise.all([logins.createLoginLinkCode(), logins.hasOwner()]);
    const loginUrl = url + loginPath(login.code);
    return owned ? { loginUrl } : { loginUrl, setupUrl: url + setupPath((await logins.createSetupCode()).code) };
  } catch (error) {
    log.warn({ err: error }, "no login link made");
    return {};
  }
}
