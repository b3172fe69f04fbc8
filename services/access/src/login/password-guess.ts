import { MeshError } from "@openhermit/errors";
import { readPasswordHash } from "../members/member-store.ts";
import { addressGroup } from "@openhermit/caller";
import { isKnownAddress } from "./known-address-store.ts";
import type { LoginParts } from "./login-parts.ts";

/** Somebody says a password. */
export interface PasswordGuess {
  /** Empty for what can't be a member. */
  readonly memberId: string;
  readonly password: string;
  readonly address: string;
  /** Whether the member has logged in already, and says it again. */
  readonly loggedIn: boolean;
}

/**
 * The stored hash, when the password is right; undefined when it is wrong, or there is no such member who logs in with
 * one. A member that does not exist is asked of the database, counted and hashed as one that does, so that neither the
 * answer nor its time tells. Errors: LOGIN_LIMITED, LOGIN_BUSY.
 */
export async function checkGuess(parts: LoginParts, guess: PasswordGuess): Promise<string | undefined> {
  const { database, hasher, limits } = parts;
  const { memberId, password, address, loggedIn } = guess;
  const group = addressGroup(address);
  const [hash, isKnown] = await Promise.all([
    readPasswordHash(database, memberId),
    isKnownAddress(database, memberId, group, parts.now()),
  ]);
  // Counted before it is checked: of many guesses at once only so many are.
  const attempt = limits.begin(memberId, group, isKnown || loggedIn);
  if (attempt instanceof MeshError) throw attempt;
  try {
    const isRight = await hasher.verify(hash, password, isKnown || loggedIn);
    if (!isRight || hash === undefined) return undefined;
  } catch (error) {
    attempt.undecided();
    throw error;
  }
  attempt.succeeded();
  return hash;
}
