import type { Queryable } from "@openhermit/postgres";
import { announce } from "../access-channel-store.ts";
import { lockAccess } from "../access-lock-store.ts";
import type { SubjectRef } from "../principal.ts";
import { readAccessorsOf, revokeTokenTrees } from "./token-store.ts";

/** Revokes tokens and all that were made with them, and tells every gateway. Returns those that worked until now. */
export async function revokeTokens(tx: Queryable, accessors: readonly string[]): Promise<string[]> {
  if (accessors.length === 0) return [];
  await lockAccess(tx);
  const revoked = await revokeTokenTrees(tx, accessors);
  await announce(
    tx,
    revoked.map((accessor) => ({ kind: "token", accessor })),
  );
  return revoked;
}

/**
 * Revokes the tokens that stand for a subject or were made by it, and all that were made with those: somebody who gets
 * the same id later must not wake them. `loginOnly`: only those of `hermit login`; `except`: but this one.
 */
export async function revokeTokensOf(
  tx: Queryable,
  subject: SubjectRef,
  { loginOnly = false, except = "" }: { loginOnly?: boolean; except?: string } = {},
): Promise<string[]> {
  await lockAccess(tx);
  const accessors = await readAccessorsOf(tx, subject, { loginOnly });
  return await revokeTokens(
    tx,
    accessors.filter((accessor) => accessor !== except),
  );
}
