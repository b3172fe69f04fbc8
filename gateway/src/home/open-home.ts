import { access, constants, mkdir } from "node:fs/promises";

import { failedPrecondition } from "@openhermit/errors";

/** Makes the home, 0700, if it is not there, and makes sure that it can be written. */
export async function openHome(home: string): Promise<void> {
  try {
    await mkdir(home, { recursive: true, mode: 0o700 });
    await access(home, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw failedPrecondition("HOME_NOT_WRITABLE", `this user can't write in the home ${home}`, {
      hint: "choose another folder with --home, or make it writable",
      fields: { home },
      cause: error,
    });
  }
}
