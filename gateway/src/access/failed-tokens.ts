import { hash } from "node:crypto";

/** Tokens that were tried and are not valid. */
export interface FailedTokens {
  /** Whether the token was not tried before, as far as is remembered; remembers it. */
  isNew(token: string): boolean;
}

const MAX_REMEMBERED = 10_000;

/**
 * Creates the memory of failed tokens. Who sends the same one again, a program whose token has expired, guesses nothing. It
 * keeps hashes only, the newest.
 */
export function createFailedTokens(): FailedTokens {
  const known = new Set<string>();
  return {
    isNew(token) {
      const digest = hash("sha256", token, "base64url");
      const isNew = !known.delete(digest);
      known.add(digest);
      if (known.size > MAX_REMEMBERED) {
        const [oldest] = known;
        known.delete(oldest ?? "");
      }
      return isNew;
    },
  };
}
