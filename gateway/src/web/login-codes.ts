import { createHash, randomBytes } from "node:crypto";

/** Codes of login links. Each opens one session. */
export interface LoginCodes {
  /** A new code. */
  create(): string;
  /** Whether the code is valid; it is not after this. */
  consume(code: string): boolean;
}

const LIFETIME_MS = 12 * 3_600_000;
const MOST = 100;

/** Creates the codes: 256 random bits, kept hashed and in memory only, for 12 hours, the newest hundred. */
export function createLoginCodes(now: () => number = Date.now): LoginCodes {
  const expiries = new Map<string, number>();
  return {
    create() {
      const code = randomBytes(32).toString("base64url");
      expiries.set(hash(code), now() + LIFETIME_MS);
      for (const oldest of expiries.keys()) {
        if (expiries.size <= MOST) {
          break;
        }
        expiries.delete(oldest);
      }
      return code;
    },
    consume(code) {
      const key = hash(code);
      const expiry = expiries.get(key);
      expiries.delete(key);
      return expiry !== undefined && expiry > now();
    },
  };
}

function hash(code: string): string {
  return createHash("sha256").update(code).digest("base64");
}
