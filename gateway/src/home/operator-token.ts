import { createHash, randomUUID, timingSafeEqual } from "node:crypto";
import { chmod, link, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { failedPrecondition } from "@openhermit/errors";
import { isToken, newToken } from "@openhermit/ids";

/** The token of whoever owns the home. */
export interface OperatorToken {
  /** The file it stands in, 0600. */
  readonly path: string;
  /** Whether the text is the token; takes the same time for every text of its length. */
  matches(text: string): boolean;
}

/**
 * Reads `<home>/operator-token`, and makes it at the first start: `ohm_`, 32 random characters, 6 of a checksum that tells a
 * token which was cut or mistyped. Two gateways that start at once agree on one token.
 */
export async function openOperatorToken(home: string): Promise<OperatorToken> {
  const path = join(home, "operator-token");
  const token = (await readToken(path)) ?? (await createToken(path));
  const digest = sha256(token);
  return {
    path,
    matches: (text) => isToken(text) && timingSafeEqual(sha256(text), digest),
  };
}

async function readToken(path: string): Promise<string | undefined> {
  let token: string;
  try {
    token = (await readFile(path, "utf8")).trim();
    if (((await stat(path)).mode & 0o077) !== 0) {
      await chmod(path, 0o600);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") {
      return undefined;
    }
    throw error;
  }
  if (!isToken(token)) {
    throw failedPrecondition("OPERATOR_TOKEN_BROKEN", `${path} holds no token that this gateway made`, {
      hint: "remove the file and start again; a new token is made",
      fields: { path },
    });
  }
  return token;
}

async function createToken(path: string): Promise<string> {
  // The link appears with the whole token in it, or not at all; the first one to link wins.
  const draft = `${path}.${randomUUID()}.new`;
  await writeFile(draft, `${newToken()}\n`, { mode: 0o600, flush: true });
  try {
    await link(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
      throw error;
    }
  } finally {
    await rm(draft, { force: true });
  }
  const token = await readToken(path);
  if (token === undefined) {
    throw failedPrecondition("OPERATOR_TOKEN_BROKEN", `${path} disappeared while it was made`, {
      hint: "start again",
      fields: { path },
    });
  }
  return token;
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
