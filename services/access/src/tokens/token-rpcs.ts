import { durationMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { RecordChanges } from "@openhermit/caller";
import { permissionDenied } from "@openhermit/errors";
import { cutPage, decodePageToken, pageSizeOf } from "@openhermit/paging";
import type { Database } from "@openhermit/postgres";
import { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { TokenService } from "@openhermit/protocol/access/v1/token_service";
import type { Log } from "@openhermit/telemetry";
import { principalOf, subjectName, type CallOf } from "../access-call.ts";
import type { ScopedMethod } from "../access-ports.ts";
import type { Actor, Principal, SubjectRef } from "../principal.ts";
import { decide, effectiveRole, sameSubject, type Facts } from "../rights/decide.ts";
import { listScopes } from "../rights/scope-list.ts";
import { parseScopes } from "../rights/scope.ts";
import { serviceAccountNotFound } from "../service-accounts/service-account.ts";
import { issueToken } from "./issue-token.ts";
import { revokeTokens } from "./revoke-tokens.ts";
import { toTokenMessage } from "./token-proto.ts";
import { checkScopes } from "./token-scopes.ts";
import { listTokens, readToken } from "./token-store.ts";
import { tokenNotFound, type StoredToken } from "./token.ts";
import type { TokenHash } from "./token-hash.ts";

/** What the RPCs work on. */
export interface TokenRpcOptions {
  database: Database;
  log: Log;
  facts: Facts;
  call: CallOf;
  recordChanges: (actor: Actor) => RecordChanges;
  methods: () => readonly ScopedMethod[];
  /** Known once the service has started. */
  hash: () => TokenHash;
  /** Tokens were revoked here. */
  onRevoked: (accessors: readonly string[]) => void;
}

const MILLISECONDS = /^\d{1,15}$/;
const ACCESSOR = /^acc_[0-9A-Za-z]{16}$/;

/** The RPCs of tokens, in the order of the proto. */
export function createTokenRpcs(options: TokenRpcOptions): ServiceImpl<typeof TokenService> {
  const { database, log, facts, call, recordChanges } = options;

  const seesAll = (principal: Principal): boolean => effectiveRole(facts, principal) >= Role.ADMIN;
  const sees = (principal: Principal, { subject, creator }: StoredToken): boolean =>
    seesAll(principal) || sameSubject(subject, principal.subject) || sameSubject(creator, principal.subject);

  /** Whom a new token stands for: the caller, or a service account that the caller manages. */
  function subjectOf(maker: Principal, serviceAccountId: string): SubjectRef {
    if (serviceAccountId === "") return maker.subject;
    const account: SubjectRef = { kind: SubjectKind.SERVICE_ACCOUNT, id: serviceAccountId };
    if (sameSubject(account, maker.subject)) return account;
    const may = (verb: "read" | "write"): boolean => {
      const decision = decide(facts, maker, "service-accounts", verb);
      return decision.granted && decision.covers(serviceAccountId);
    };
    if (!may("read") || facts.directory.serviceAccount(serviceAccountId) === undefined) {
      throw serviceAccountNotFound(serviceAccountId);
    }
    // The new token would be bound to its maker's maker alone, and outlive a demotion of the account that made it.
    if (!may("write") || !sameSubject(maker.subject, maker.creator)) {
      throw permissionDenied(
        "RIGHT_MISSING",
        `${subjectName(maker.subject)} may not make tokens for service accounts`,
        {
          hint: "An admin may, logged in or with a token of the scope service-accounts:write.",
        },
      );
    }
    return account;
  }

  return {
    async createToken({ serviceAccountId, name, scopes: texts, ttl }, context) {
      const { actor, principal } = call(context);
      const maker = principalOf({ actor, principal });
      const scopes = parseScopes(texts);
      const subject = subjectOf(maker, serviceAccountId);
      checkScopes(facts, maker, subject, scopes);
      const ttlMs = ttl && durationMs(ttl);
      const request = { maker, subject, name, scopes, ttlMs };
      const { secret, token } = await issueToken(database, options.hash(), recordChanges(actor), request);
      log.info(
        { accessor: token.accessor, subject: subjectName(subject), caller: subjectName(actor.subject) },
        "token made",
      );
      return { token: toTokenMessage(token), secret };
    },

    async listTokens({ pageSize, pageToken, serviceAccountId, includeEnded }, context) {
      const principal = principalOf(call(context));
      const key = decodePageToken(pageToken, [MILLISECONDS, ACCESSOR]);
      const size = pageSizeOf(pageSize);
      const filter = {
        of: seesAll(principal) ? undefined : principal.subject,
        subject: serviceAccountId === "" ? undefined : { kind: SubjectKind.SERVICE_ACCOUNT, id: serviceAccountId },
        includeEnded,
      };
      const after = key && { createTime: new Date(Number(key[0])), accessor: key[1] ?? "" };
      const found = await listTokens(database, filter, after, size + 1);
      const keyOf = (last: StoredToken): string[] => [String(last.createTime.getTime()), last.accessor];
      const { page, nextPageToken } = cutPage(found, size, keyOf);
      return { tokens: page.map(toTokenMessage), nextPageToken };
    },

    async revokeToken({ accessor }, context) {
      const { actor, ...rest } = call(context);
      const principal = principalOf({ actor, ...rest });
      const { token, revoked } = await database.transaction(async (tx) => {
        const before = await readToken(tx, accessor);
        if (before === undefined || !sees(principal, before)) throw tokenNotFound(accessor);
        const accessors = await revokeTokens(tx, [accessor]);
        await recordChanges(actor)(
          tx,
          accessors.map((targetId) => ({ action: "tokens.revoke", targetType: "token", targetId })),
        );
        return { token: (await readToken(tx, accessor)) ?? before, revoked: accessors };
      });
      options.onRevoked(revoked);
      if (revoked.length > 0) log.info({ accessors: revoked, caller: subjectName(actor.subject) }, "tokens revoked");
      return { token: toTokenMessage(token) };
    },

    listScopes: () => ({ scopes: listScopes(options.methods()) }),
  };
}
