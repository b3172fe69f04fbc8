import { createHash, createPublicKey, verify, type KeyObject } from "node:crypto";

/** An Ed25519 public key of 32 bytes as a key to verify with; undefined when the bytes are no such key. */
export function publicKeyOf(raw: Uint8Array): KeyObject | undefined {
  if (raw.length !== 32) return undefined;
  try {
    return createPublicKey({
      key: { kty: "OKP", crv: "Ed25519", x: Buffer.from(raw).toString("base64url") },
      format: "jwk",
    });
  } catch {
    return undefined;
  }
}

/** Whether the signature (64 bytes) of the text is of this key. */
export function isSignedBy(key: KeyObject, text: string, signature: Uint8Array): boolean {
  try {
    return verify(null, Buffer.from(text), key, signature);
  } catch {
    return false;
  }
}

/** The JWK thumbprint of an Ed25519 public key (RFC 7638, RFC 8037), base64url. */
export function thumbprintOf(raw: Uint8Array): string {
  const x = Buffer.from(raw).toString("base64url");
  return createHash("sha256").update(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`).digest("base64url");
}
