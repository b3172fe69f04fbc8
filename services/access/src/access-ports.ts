import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import type { RecordChanges, Reach } from "@openhermit/caller";
import type { Database, Queryable } from "@openhermit/postgres";
import type { Member } from "@openhermit/protocol/access/v1/member";
import type { Role } from "@openhermit/protocol/access/v1/subject";
import type { Log } from "@openhermit/telemetry";

import type { ChangeTarget, LastChange } from "./audit/last-changes-store.ts";
import type { Actor, Principal } from "./principal.ts";

/** What access needs of the rest of the gateway. */
export interface AccessPorts {
  /** The team that owns an agent, or owned it when it was deleted; empty: nobody; undefined: there never was one. */
  teamOfAgent(agentId: string): string | undefined;
  /** All agents that exist, and the deleted ones that a team owned. */
  agentIds(): readonly string[];
  /** All agents that exist. */
  existingAgentIds(): readonly string[];
  /** The gateway's own URL, for links; without a slash at its end. */
  gatewayUrl(): string;
}

/** What access is made of. */
export interface AccessServiceOptions {
  database: Database;
  log: Log;
  ports: AccessPorts;
  /** Who makes a call; undefined for a call without a credential or of a sidecar. */
  principal: (context: HandlerContext) => Principal | undefined;
  /** The same for the audit trail. */
  actor: (context: HandlerContext) => Actor;
  /** All methods that principals may call, from which the scopes are made. */
  methods: () => readonly ScopedMethod[];
  /** Mixed into the hashes of tokens; the same on all gateways. Empty: only the key in the database. */
  tokenPepper: string;
  /** How long the audit trail is kept, days. */
  auditRetentionDays: number;
}

/** A method that principals may call. */
export interface ScopedMethod {
  /** `openhermit.fleet.v1.FleetService/GetAgent`. */
  readonly name: string;
  readonly resource: string;
  readonly verb: "read" | "write";
}

/** What a principal may do with one resource. Follows changes for as long as it is held. */
export interface Decision {
  /** Whether the right is held at all, on something. */
  readonly granted: boolean;
  /** Whether it is held on everything, as far as scopes go: no selector narrows it. */
  readonly unnarrowed: boolean;
  /** Whether scopes let it be used on this id: of an agent for what is about agents, else of the resource. */
  covers(id: string): boolean;
  /** The agents that the right reaches. */
  readonly agents: Reach;
}

/** Where an attempt to come in is made from. */
export interface Attempt {
  readonly address: string;
  readonly userAgent: string;
  readonly requestId: string;
}

/** A browser session that was just made. */
export interface NewSession {
  /** The secret id, for the cookie. */
  readonly secret: string;
  readonly principal: Principal;
  readonly expireTime: Date;
}

/** A code that works once. */
export interface NewCode {
  readonly code: string;
  readonly expireTime: Date;
}

/** Who an identity provider says somebody is. */
export interface ExternalIdentity {
  /** With `subject` the identity; nothing else identifies. */
  readonly issuer: string;
  readonly subject: string;
  /** What the member's id is made of at the first login; made unique. */
  readonly preferredName: string;
  readonly displayName: string;
  /** The role its groups give, at each login; undefined: may not come in. */
  readonly role: Role | undefined;
}

/** Ways to come in, for the pages. Failed attempts are in the audit trail. All may throw DATABASE_UNAVAILABLE. */
export interface Logins {
  /** Whether somebody has claimed ownership. */
  hasOwner(): Promise<boolean>;
  /** A code for the first owner, 30 minutes. Errors: OWNER_EXISTS. */
  createSetupCode(): Promise<NewCode>;
  /** A code for a browser session of the local operator, 12 hours. */
  createLoginLinkCode(): Promise<NewCode>;
  /** Errors: CODE_INVALID, OWNER_EXISTS, PASSWORD_WEAK, REQUEST_INVALID. */
  claimOwnership(
    request: { code: string; memberId: string; displayName: string; password: string },
    attempt: Attempt,
  ): Promise<{ member: Member; session: NewSession }>;
  /** Whom an invite is for, to show on its page. Errors: CODE_INVALID. */
  readInvite(code: string): Promise<Member>;
  /** Errors: CODE_INVALID, PASSWORD_WEAK. */
  acceptInvite(
    request: { code: string; displayName: string; password: string },
    attempt: Attempt,
  ): Promise<{ member: Member; session: NewSession }>;
  /** Errors: LOGIN_FAILED (whatever was wrong), LOGIN_LIMITED with `retry_after_seconds`. */
  logIn(request: { memberId: string; password: string }, attempt: Attempt): Promise<NewSession>;
  /** Errors: CODE_INVALID. */
  logInWithLink(code: string, attempt: Attempt): Promise<NewSession>;
  /** Makes the member at the first login, updates its role at each. Errors: LOGIN_FAILED. */
  logInExternally(identity: ExternalIdentity, attempt: Attempt): Promise<NewSession>;
  /** Ends the session; nothing for an unknown one. */
  logOut(principal: Principal, attempt: Attempt): Promise<void>;
  /** A code that a command line exchanges for a token of this principal, 10 minutes. Of a session only. */
  createTokenCode(principal: Principal, challenge: string, deviceName: string): Promise<NewCode>;
}

/** Denied attempts and the like, for the audit trail. */
export interface Denial {
  readonly actor: Actor;
  /** The method, or `login`. */
  readonly action: string;
  readonly targetType: string;
  readonly targetId: string;
  /** The reason of the error. */
  readonly reason: string;
}

/** The access domain: who may come in, what they may do, and what they did. */
export interface AccessService {
  routes(router: ConnectRouter): void;
  /** Reads the directory and begins to listen. */
  start(): Promise<void>;
  close(): Promise<void>;

  readonly logins: Logins;
  /** Who a token stands for; undefined when it is not valid, or no longer. Errors: ACCESS_UNAVAILABLE while that can't be known. */
  verifyToken(token: string, address: string): Promise<Principal | undefined>;
  /** Who a browser session stands for; undefined when it is not valid, or no longer. Errors: ACCESS_UNAVAILABLE. */
  verifySession(secret: string): Promise<Principal | undefined>;
  /** The principal of the operator token. */
  readonly localOperator: Principal;
  /** Whether the credential still is what it was when it was verified: not revoked, not expired, its people not disabled. From memory. */
  isCurrent(principal: Principal): boolean;
  /** What a principal may do. From memory; costs microseconds. */
  decide(principal: Principal, resource: string, verb: "read" | "write"): Decision;
  /** Whether a principal may own things for a team, or give them to it: admins, and members of the team. */
  mayOwnFor(principal: Principal, teamId: string): boolean;
  /** Whether a team exists. From memory. */
  isTeam(teamId: string): boolean;
  /**
   * A transaction deletes these agents: nobody holds a grant on them any more, on this gateway at once, on the others when it
   * commits. Errors: DATABASE_UNAVAILABLE.
   */
  forgetAgents(tx: Queryable, agentIds: readonly string[]): Promise<void>;
  /** Calls back when rights, tokens or sessions may have changed, on any gateway. Returns how to stop that. */
  onChanged(callback: () => void): () => void;

  /** Writes changes of an actor into the audit trail, in the transaction that makes them. */
  recordChanges(actor: Actor): RecordChanges;
  /** Puts a denied attempt into the audit trail, soon. Alike ones within a minute become one record. Never throws. */
  recordDenial(denial: Denial): void;
  /**
   * The newest changes of each target that were made, newest first, at most 20 of one; by `type/id`. One statement. A target
   * without a change that is kept has no entry. Errors: DATABASE_UNAVAILABLE.
   */
  lastChanges(db: Queryable, targets: readonly ChangeTarget[]): Promise<ReadonlyMap<string, readonly LastChange[]>>;
}
