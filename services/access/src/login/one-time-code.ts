import { createHash } from "node:crypto";
import { permissionDenied, type MeshError } from "@openhermit/errors";

/** What a code is good for; nothing else. Stored. */
export const CodeKind = {
  /** Claims ownership. */
  SETUP: 1,
  /** Opens a browser session of the local operator. */
  LOGIN_LINK: 2,
  /** Gives a member a password. */
  INVITE: 3,
  /** Is exchanged for a token by a command line. */
  TOKEN: 4,
} as const;
export type CodeKind = (typeof CodeKind)[keyof typeof CodeKind];

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** How long a code of each kind works, in milliseconds. */
export const CODE_LIFETIME_MS: Readonly<Record<CodeKind, number>> = {
  [CodeKind.SETUP]: 30 * MINUTE_MS,
  [CodeKind.LOGIN_LINK]: 12 * HOUR_MS,
  [CodeKind.INVITE]: 7 * DAY_MS,
  [CodeKind.TOKEN]: 10 * MINUTE_MS,
};

/** A secret as it is stored and looked up: SHA-256, which is enough for 256 random bits. */
export function hashSecret(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}

/** The refusal of a code, whatever is wrong with it. */
export function codeInvalid(): MeshError {
  return permissionDenied("CODE_INVALID", "the code is wrong, was used, or is too old", {
    hint: "Ask for a new link.",
  });
}
