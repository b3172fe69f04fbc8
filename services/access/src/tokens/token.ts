import { randomInt } from "node:crypto";
import { invalidArgument, notFound, permissionDenied, type MeshError } from "@openhermit/errors";
import type { Principal, Scope, SubjectRef } from "../principal.ts";

/** A token as stored. */
export interface StoredToken {
  /** The public id. */
  readonly accessor: string;
  readonly name: string;
  readonly subject: SubjectRef;
  /** Whose rights bound those of the subject. */
  readonly creator: SubjectRef;
  /** Empty: made by a person. */
  readonly parentAccessor: string;
  /** As people write them, ordered. */
  readonly scopes: readonly string[];
  readonly login: boolean;
  readonly createTime: Date;
  readonly expireTime: Date;
  readonly lastUseTime: Date | null;
  readonly lastUseAddress: string;
  readonly revokeTime: Date | null;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const DEFAULT_TTL_MS = 90 * DAY_MS;
const MAX_TTL_MS = 366 * DAY_MS;
/** How long the token of `hermit login` works. */
export const LOGIN_TTL_MS = 30 * DAY_MS;
/** How many tokens that still work one subject may have. */
export const MAX_LIVE_TOKENS = 1_000;

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ACCESSOR_LENGTH = 16;

/** A new public id of a token: `acc_` and 16 random characters. It opens nothing. */
export function newAccessor(): string {
  let text = "acc_";
  for (let index = 0; index < ACCESSOR_LENGTH; index += 1) text += ALPHABET.charAt(randomInt(ALPHABET.length));
  return text;
}

/**
 * When a new token ends: after what was asked for, or 90 days, and no later than the token it is made with.
 * Errors: TOKEN_TTL_INVALID for more than 366 days.
 */
export function expiryOf(now: Date, ttlMs: number | undefined, maker: Principal): Date {
  const asked = ttlMs ?? DEFAULT_TTL_MS;
  if (!Number.isFinite(asked) || asked <= 0 || asked > MAX_TTL_MS) {
    throw invalidArgument("TOKEN_TTL_INVALID", "a token works for at least a minute and at most 366 days", {
      hint: "Make a new one before it ends; the old one may be revoked then.",
    });
  }
  const end = now.getTime() + asked;
  const parent = parentOf(maker);
  return new Date(parent === undefined ? end : Math.min(end, parent.expireTime.getTime()));
}

/** The token that a new one is made with; undefined for a person, whose login is no limit but its rights. */
export function parentOf({
  credential,
}: Principal): { accessor: string; scopes: readonly Scope[]; expireTime: Date } | undefined {
  return credential.kind === "token" && !credential.login ? credential : undefined;
}

/** The error of a token that does not exist, or that the caller may not see. */
export function tokenNotFound(accessor: string): MeshError {
  return notFound("TOKEN_NOT_FOUND", `token "${accessor}" does not exist`, {
    hint: "hermit tokens list shows the tokens that you may see.",
    fields: { accessor },
  });
}

/** The error of a scope that the maker, or the service account, does not hold itself. */
export function scopeTooBroad(scope: string, who: string, hint: string): MeshError {
  return permissionDenied("SCOPE_TOO_BROAD", `the scope "${scope}" reaches further than ${who}`, {
    hint,
    fields: { scope },
  });
}
