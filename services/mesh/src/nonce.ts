import { createHash, randomBytes } from "node:crypto";
import type { UsedNonce } from "./enrollment-store.ts";
import { isSignedBy } from "./ed25519.ts";
import type { GatewayKeys } from "./gateway-key.ts";

/** How long a nonce lives, in milliseconds. */
export const NONCE_LIFE_MS = 60_000;

const FORM = /^([\w-]{16})\.(\d{1,15})\.([\w-]{22})\.([\w-]{86})$/;

const signedText = (body: string): string => `openhermit-nonce-v1\n${body}`;

/** A new nonce, `key id . expiry . random . signature`: nothing is stored until it is used, and every gateway accepts it. */
export async function makeNonce(keys: GatewayKeys): Promise<string> {
  const body = `${keys.keyId}.${Date.now() + NONCE_LIFE_MS}.${randomBytes(16).toString("base64url")}`;
  const signature = await keys.sign(signedText(body));
  return `${body}.${Buffer.from(signature).toString("base64url")}`;
}

/** Checks the signature and the age of a nonce; undefined when it was not made here or is too old. Whether it was used before is for the store. */
export async function checkNonce(keys: GatewayKeys, nonce: string): Promise<UsedNonce | undefined> {
  const [, keyId, expiry, random, signature] = FORM.exec(nonce) ?? [];
  if (keyId === undefined || expiry === undefined || random === undefined || signature === undefined) return undefined;
  const expireTime = Number(expiry);
  if (expireTime < Date.now()) return undefined;
  const key = await keys.find(keyId);
  const body = `${keyId}.${expiry}.${random}`;
  if (key === undefined || !isSignedBy(key, signedText(body), Buffer.from(signature, "base64url"))) return undefined;
  // Of the signed part, so that another spelling of the signature is not another nonce.
  return { hash: createHash("sha256").update(body).digest(), expireTime: new Date(expireTime) };
}
