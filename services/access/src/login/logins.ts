import type { ServiceImpl } from "@connectrpc/connect";
import { MeshError } from "@openhermit/errors";
import type { LoginService } from "@openhermit/protocol/access/v1/login_service";
import type { Member } from "@openhermit/protocol/access/v1/member";
import type { MemberService } from "@openhermit/protocol/access/v1/member_service";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { CallOf } from "../access-call.ts";
import type { Attempt, Logins, NewSession } from "../access-ports.ts";
import { memberNotFound } from "../members/member.ts";
import { toMemberMessage } from "../members/member-proto.ts";
import { createMemberRpcs } from "../members/member-rpcs.ts";
import { readMember } from "../members/member-store.ts";
import type { Actor, Principal } from "../principal.ts";
import { acceptInvite, readInvite } from "./accept-invite.ts";
import { actorOf, beginSession, nobody } from "./begin-session.ts";
import { claimOwnership, createSetupCode } from "./claim-ownership.ts";
import { endLogin } from "./end-login.ts";
import { logInExternally } from "./external-login.ts";
import { createLoginLink, logInWithLink } from "./login-link.ts";
import { createLoginLinks } from "./login-links.ts";
import type { LoginOptions } from "./login-options.ts";
import { createLoginParts, type LoginParts } from "./login-parts.ts";
import { createLoginRpcs } from "./login-rpcs.ts";
import { readHasOwner } from "./ownership-store.ts";
import { logInWithPassword } from "./password-login.ts";
import type { SessionVerifier } from "./session-verifier.ts";
import { createTokenCode } from "./token-code.ts";

/** Coming in and staying in: the ways for the pages, the RPCs, and the sessions. */
export interface LoginDomain {
  readonly logins: Logins;
  readonly sessions: SessionVerifier;
  loginRpcs(call: CallOf): ServiceImpl<typeof LoginService>;
  memberRpcs(call: CallOf): ServiceImpl<typeof MemberService>;
}

/** The refusals that somebody who tries to come in may meet; the others are mistakes in a form, or of ours. */
const DENIALS: ReadonlySet<string> = new Set(["CODE_INVALID", "LOGIN_FAILED", "LOGIN_LIMITED", "OWNER_EXISTS"]);

/** Makes the ways to come in. */
export function createLogins(options: LoginOptions): LoginDomain {
  const parts = createLoginParts(options);
  const links = createLoginLinks(() => parts.gatewayUrl());

  async function readMessage(id: string): Promise<Member> {
    const member = await readMember(parts.database, id);
    if (member === undefined) throw memberNotFound(id);
    return toMemberMessage(member);
  }

  return {
    logins: createLoginsOfPages(parts, readMessage),
    sessions: parts.sessions,
    loginRpcs: (call) => createLoginRpcs({ parts, links, call, readMember: readMessage }),
    memberRpcs: (call) =>
      createMemberRpcs({
        database: parts.database,
        now: parts.now,
        write: parts.write,
        call,
        recordChanges: (actor) => parts.audit.recordChanges(actor),
        inviteUrl: links.invite,
        changed: (ended) => parts.changed(ended),
      }),
  };
}

/** The gateway itself, when it starts. */
const GATEWAY: Actor = {
  subject: { kind: SubjectKind.SYSTEM, id: "" },
  onBehalfOf: undefined,
  accessor: "",
  requestId: "",
  address: "",
};

function createLoginsOfPages(parts: LoginParts, readMessage: (id: string) => Promise<Member>): Logins {
  /** Puts a refusal into the audit trail; a member is named only when it exists, for people type passwords into wrong fields. */
  async function watch<T>(action: string, actor: Actor, memberId: string, work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof MeshError && DENIALS.has(error.reason)) {
        const targetId = parts.directory.member(memberId) === undefined ? "" : memberId;
        parts.audit.recordDenial({ actor, action, targetType: "member", targetId, reason: error.reason });
      }
      throw error;
    }
  }

  const withMember = async (session: NewSession): Promise<{ member: Member; session: NewSession }> => ({
    member: await readMessage(session.principal.subject.id),
    session,
  });
  const actorFor = (principal: Principal, attempt: Attempt): Actor => actorOf(principal.subject, attempt);

  return {
    hasOwner: () => readHasOwner(parts.database),
    createSetupCode: () => createSetupCode(parts, GATEWAY),
    createLoginLinkCode: () => createLoginLink(parts, GATEWAY),
    async claimOwnership(request, attempt) {
      const claim = claimOwnership(parts, request, attempt, beginSession(parts, attempt, "setup code"));
      return withMember(await watch("ownership.claim", nobody(attempt), "", claim));
    },
    readInvite: async (code) => toMemberMessage(await readInvite(parts, code)),
    async acceptInvite(request, attempt) {
      const accept = acceptInvite(parts, request, attempt, beginSession(parts, attempt, "invite"));
      return withMember(await watch("invite.accept", nobody(attempt), "", accept));
    },
    logIn: (request, attempt) =>
      watch("login", nobody(attempt), request.memberId, logInWithPassword(parts, request, attempt)),
    logInWithLink: (code, attempt) => watch("login", nobody(attempt), "", logInWithLink(parts, code, attempt)),
    logInExternally: (identity, attempt) =>
      watch("login", nobody(attempt), "", logInExternally(parts, identity, attempt)),
    logOut: (principal, attempt) => endLogin(parts, principal, actorFor(principal, attempt)),
    createTokenCode: (principal, challenge, deviceName) => createTokenCode(parts, principal, challenge, deviceName),
  };
}
