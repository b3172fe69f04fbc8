import { failedPrecondition } from "@openhermit/errors";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { announce } from "../access-channel-store.ts";
import { sessionNotice } from "../members/change-member.ts";
import type { Actor, Principal } from "../principal.ts";
import { revokeTokens } from "../tokens/revoke-tokens.ts";
import type { LoginParts } from "./login-parts.ts";
import { deleteSession } from "./session-store.ts";

/** Ends the session, or revokes the token, of a principal. Nothing for one that has ended. Errors: OPERATOR_TOKEN_STAYS. */
export async function endLogin(parts: LoginParts, principal: Principal, actor: Actor): Promise<void> {
  const { credential, subject } = principal;
  const logout = {
    action: "logout",
    targetType: subject.kind === SubjectKind.MEMBER ? "member" : "",
    targetId: subject.kind === SubjectKind.MEMBER ? subject.id : "",
  };
  switch (credential.kind) {
    case "operator-token":
      throw failedPrecondition("OPERATOR_TOKEN_STAYS", "the operator token of the host can't be logged out", {
        hint: "Remove the file operator-token of the home and restart the gateway to get another.",
      });
    case "session":
      await parts.database.transaction(async (tx) => {
        if (!(await deleteSession(tx, Buffer.from(credential.sessionId, "hex")))) return;
        await parts.audit.recordChanges(actor)(tx, [logout]);
        await announce(tx, [sessionNotice(credential.sessionId)]);
      });
      parts.sessions.forget([credential.sessionId]);
      return;
    case "token":
      parts.onRevoked(
        await parts.write(async (tx) => {
          const accessors = await revokeTokens(tx, [credential.accessor]);
          const revoked = { action: "tokens.revoke", targetType: "token", targetId: credential.accessor };
          await parts.audit.recordChanges(actor)(tx, [credential.login ? logout : revoked]);
          return accessors;
        }),
      );
  }
}
