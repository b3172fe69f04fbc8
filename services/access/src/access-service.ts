import { TeamService } from "@openhermit/protocol/access/v1/team_service";
import { AuditService } from "@openhermit/protocol/access/v1/audit_service";
import { GrantService } from "@openhermit/protocol/access/v1/grant_service";
import { LoginService } from "@openhermit/protocol/access/v1/login_service";
import { MemberState } from "@openhermit/protocol/access/v1/member";
import { MemberService } from "@openhermit/protocol/access/v1/member_service";
import { ServiceAccountService } from "@openhermit/protocol/access/v1/service_account_service";
import { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { TokenService } from "@openhermit/protocol/access/v1/token_service";
import type { Subscription } from "@openhermit/postgres";
import type { CallOf } from "./access-call.ts";
import { ACCESS_CHANNEL, decodeNotice } from "./access-channel.ts";
import { accessUnavailable } from "./access-error.ts";
import type { AccessService, AccessServiceOptions } from "./access-ports.ts";
import type { AccessRpcOptions } from "./access-rpc-options.ts";
import { createAuditTrail } from "./audit/audit-trail.ts";
import { readLastChanges } from "./audit/last-changes-store.ts";
import { createDirectory } from "./directory/directory.ts";
import { forgetAgents } from "./grants/forget-agents.ts";
import { createGrantRpcs } from "./grants/grant-rpcs.ts";
import { createLogins } from "./login/logins.ts";
import type { Actor, Principal, SubjectRef } from "./principal.ts";
import { decide, mayOwnFor, sameSubject } from "./rights/decide.ts";
import { createServiceAccountRpcs } from "./service-accounts/service-account-rpcs.ts";
import { createTeamRpcs } from "./teams/team-rpcs.ts";
import { createTokens } from "./tokens/tokens.ts";

const OPERATOR = { kind: SubjectKind.LOCAL_OPERATOR, id: "" } as const;

/** Who takes the grants on a deleted agent. */
const FORGETTING: Actor = {
  subject: { kind: SubjectKind.SYSTEM, id: "forget-agent" },
  onBehalfOf: undefined,
  accessor: "",
  requestId: "",
  address: "",
};

/** Makes the access domain: who may come in, what they may do, and what they did. */
export function createAccessService(options: AccessServiceOptions): AccessService {
  const { database, log, ports } = options;
  const listeners = new Set<() => void>();
  const changed = (): void => {
    for (const listener of listeners) listener();
  };
  const call: CallOf = (context) => ({ principal: options.principal(context), actor: options.actor(context) });

  const audit = createAuditTrail({ database, log, retentionDays: options.auditRetentionDays });
  const { recordChanges } = audit;
  const directory = createDirectory({ database, log });
  const facts = { directory, ports };

  /** Whether the people behind a credential may act, as far as is known. */
  const mayAct = ({ subject, creator }: Principal): boolean =>
    directory.roleOf(subject) !== Role.UNSPECIFIED &&
    (sameSubject(subject, creator) || directory.roleOf(creator) !== Role.UNSPECIFIED);

  /** Somebody who came in a moment ago on another gateway, and is not known here yet. */
  const isNew = ({ kind, id }: SubjectRef): boolean => {
    if (kind === SubjectKind.SERVICE_ACCOUNT) return directory.serviceAccount(id) === undefined;
    return kind === SubjectKind.MEMBER && (directory.member(id)?.state ?? MemberState.INVITED) === MemberState.INVITED;
  };
  const mayActAfterLook = async (principal: Principal): Promise<boolean> => {
    await directory.refresh().catch(() => {
      throw accessUnavailable();
    });
    return mayAct(principal);
  };
  const mayComeIn = (principal: Principal): boolean | Promise<boolean> =>
    mayAct(principal) || ((isNew(principal.subject) || isNew(principal.creator)) && mayActAfterLook(principal));

  const rpcOptions: AccessRpcOptions = {
    database,
    log,
    facts,
    call,
    recordChanges,
    changed: () =>
      directory.refresh().catch((error: unknown) => log.debug({ err: error }, "directory not read after a change")),
  };
  const tokens = createTokens({
    ...rpcOptions,
    methods: options.methods,
    pepper: options.tokenPepper,
    isReliable: () => directory.isReliable(),
    mayAct: mayComeIn,
    onEnded: changed,
  });
  const onRevoked = (accessors: readonly string[]): void => accessors.forEach((accessor) => tokens.forget(accessor));
  const { logins, sessions, loginRpcs, memberRpcs } = createLogins({
    database,
    log,
    audit,
    directory,
    gatewayUrl: () => ports.gatewayUrl(),
    onRevoked,
    issueLoginToken: (tx, principal, deviceName) => tokens.issueLoginToken(tx, principal, deviceName),
  });
  let subscription: Subscription | undefined;

  /** Something changed, here or on another gateway. */
  function onNotice(payload: string): void {
    const notice = decodeNotice(payload);
    if (notice === undefined) return;
    if (notice.kind === "directory") return directory.poke();
    if (notice.kind === "token") return tokens.forget(notice.accessor);
    sessions.forget([notice.sessionId]);
    changed();
  }

  /** The connection for notices is there, perhaps again: what was told meanwhile is lost. */
  function onSubscribed(): void {
    directory.poke();
    tokens.poke();
    sessions
      .recheck()
      .then(changed)
      .catch((error: unknown) => log.debug({ err: error }, "sessions not rechecked"));
  }

  return {
    routes(router) {
      router.service(LoginService, loginRpcs(call));
      router.service(MemberService, memberRpcs(call));
      router.service(TeamService, createTeamRpcs({ ...rpcOptions, existingAgentIds: () => ports.existingAgentIds() }));
      router.service(ServiceAccountService, createServiceAccountRpcs({ ...rpcOptions, onRevoked }));
      router.service(GrantService, createGrantRpcs(rpcOptions));
      router.service(TokenService, tokens.rpcs);
      router.service(AuditService, audit.rpcs);
    },

    async start() {
      directory.onChanged(changed);
      await audit.start();
      await tokens.start();
      await directory.refresh();
      subscription ??= database.listen(ACCESS_CHANNEL, onNotice, onSubscribed);
    },

    async close() {
      subscription?.close();
      listeners.clear();
      await Promise.all([directory.close(), tokens.close(), audit.close()]);
    },

    logins,
    verifyToken: (token, address) => tokens.verify(token, address),
    async verifySession(secret) {
      if (!directory.isReliable()) throw accessUnavailable();
      const principal = await sessions.verify(secret);
      return principal !== undefined && (await mayComeIn(principal)) ? principal : undefined;
    },
    localOperator: { subject: OPERATOR, creator: OPERATOR, credential: { kind: "operator-token" } },

    isCurrent(principal) {
      if (!mayAct(principal)) return false;
      const { credential } = principal;
      switch (credential.kind) {
        case "operator-token":
          return true;
        case "token":
          return tokens.isCurrent(credential.accessor, credential.expireTime);
        case "session":
          return sessions.isCurrent(principal);
      }
    },
    decide: (principal, resource, verb) => decide(facts, principal, resource, verb),
    mayOwnFor: (principal, teamId) => mayOwnFor(facts, principal, teamId),
    isTeam: (teamId) => directory.isTeam(teamId),
    async forgetAgents(tx, agentIds) {
      if (await forgetAgents(tx, recordChanges(FORGETTING), agentIds)) directory.dropGrantsOn(agentIds);
    },
    onChanged(callback) {
      listeners.add(callback);
      return () => void listeners.delete(callback);
    },

    recordChanges,
    recordDenial: (denial) => audit.recordDenial(denial),
    lastChanges: (db, targets) => readLastChanges(db, targets),
  };
}
