import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { failedPrecondition } from "@openhermit/errors";
import type { Database } from "@openhermit/postgres";
import { putServerKey } from "./server-key-store.ts";

/** What a token is stored as: HMAC-SHA-256 of it. */
export type TokenHash = (token: string) => Buffer;

const KEY_BYTES = 32;

/**
 * Reads the key that all gateways share, or makes it, and mixes the pepper in.
 * Errors: PEPPER_DIFFERS when the gateways before this one had another pepper: no token would be valid.
 */
export async function openTokenHash(database: Database, pepper: string): Promise<TokenHash> {
  const key = await putServerKey(database, "token", randomBytes(KEY_BYTES));
  const fingerprint = hmac(key, `openhermit pepper fingerprint\0${pepper}`);
  const known = await putServerKey(database, "token-pepper", fingerprint);
  if (!timingSafeEqual(fingerprint, known)) {
    throw failedPrecondition(
      "PEPPER_DIFFERS",
      "OPENHERMIT_TOKEN_PEPPER is not the one that this database's tokens were made with",
      {
        hint:
          "Set it to the value that the other gateways have. To change it, which ends all tokens: stop all gateways, " +
          "DELETE FROM access.server_keys WHERE name = 'token-pepper', then start them with the new value.",
      },
    );
  }
  const mixed = hmac(key, `openhermit token\0${pepper}`);
  return (token) => hmac(mixed, token);
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
