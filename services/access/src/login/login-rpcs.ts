import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { Member } from "@openhermit/protocol/access/v1/member";
import type { LoginService } from "@openhermit/protocol/access/v1/login_service";
import { principalOf, type CallOf } from "../access-call.ts";
import type { Attempt } from "../access-ports.ts";
import { acceptInvite } from "./accept-invite.ts";
import { beginNothing } from "./begin-session.ts";
import { changePassword } from "./change-password.ts";
import { claimOwnership, createSetupCode } from "./claim-ownership.ts";
import { endLogin } from "./end-login.ts";
import { createLoginLink } from "./login-link.ts";
import type { LoginLinks } from "./login-links.ts";
import type { LoginParts } from "./login-parts.ts";
import { toIdentity } from "./login-proto.ts";
import { exchangeTokenCode } from "./token-code.ts";

/** What the RPCs of logins work on. */
export interface LoginRpcOptions {
  parts: LoginParts;
  links: LoginLinks;
  /** Who makes a call. */
  call: CallOf;
  /** A member as a message. */
  readMember(id: string): Promise<Member>;
}

/** The RPCs of logins, in the order of the proto. Refused calls are recorded at the gate. */
export function createLoginRpcs({ parts, links, call, readMember }: LoginRpcOptions): ServiceImpl<typeof LoginService> {
  const attemptOf = (context: HandlerContext): Attempt => {
    const { address, requestId } = call(context).actor;
    return { address, requestId, userAgent: context.requestHeader.get("user-agent") ?? "" };
  };

  return {
    async createSetupCode(_, context) {
      const { code, expireTime } = await createSetupCode(parts, call(context).actor);
      return { url: links.setup(code), expireTime: timestampFromDate(expireTime) };
    },

    async createLoginLink(_, context) {
      const { code, expireTime } = await createLoginLink(parts, call(context).actor);
      return { url: links.login(code), expireTime: timestampFromDate(expireTime) };
    },

    async claimOwnership(request, context) {
      await claimOwnership(parts, request, attemptOf(context), beginNothing);
      return { member: await readMember(request.memberId) };
    },

    async acceptInvite(request, context) {
      const memberId = await acceptInvite(parts, request, attemptOf(context), async (_, { id }) => id);
      return { member: await readMember(memberId) };
    },

    async exchangeLoginCode({ code, verifier }, context) {
      const { principal, expireTime, ...token } = await exchangeTokenCode(
        parts,
        { code, verifier },
        call(context).actor,
      );
      const identity = {
        ...toIdentity(parts.directory, principal),
        accessor: token.accessor,
        expireTime: timestampFromDate(expireTime),
        loginTime: timestampFromDate(parts.now()),
      };
      return { ...token, expireTime: timestampFromDate(expireTime), identity };
    },

    getIdentity(_, context) {
      return { identity: toIdentity(parts.directory, principalOf(call(context))) };
    },

    async logout(_, context) {
      const caller = call(context);
      await endLogin(parts, principalOf(caller), caller.actor);
      return {};
    },

    async changePassword({ currentPassword, newPassword }, context) {
      const caller = call(context);
      const passwords = { current: currentPassword, next: newPassword };
      await changePassword(parts, principalOf(caller), passwords, caller.actor);
      return {};
    },
  };
}
