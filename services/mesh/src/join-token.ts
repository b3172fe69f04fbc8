import { createHash, randomBytes } from "node:crypto";

/** A new join token: 256 random bits, in the shape that every log redacts. */
export function makeJoinToken(): string {
  return `ohm_join${randomBytes(32).toString("hex")}`;
}

/** What is stored of a join token. */
export function hashJoinToken(joinToken: string): Uint8Array {
  return createHash("sha256").update(joinToken).digest();
}
