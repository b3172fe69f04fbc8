import type { RecordChanges } from "@openhermit/caller";
import { resourceExhausted, unauthenticated } from "@openhermit/errors";
import { newToken } from "@openhermit/ids";
import type { Database, Queryable } from "@openhermit/postgres";
import { subjectName } from "../access-call.ts";
import { lockAccess } from "../access-lock-store.ts";
import type { Principal, Scope, SubjectRef } from "../principal.ts";
import { formatScope } from "../rights/scope.ts";
import { countLiveTokens, insertToken, readToken } from "./token-store.ts";
import { expiryOf, LOGIN_TTL_MS, MAX_LIVE_TOKENS, newAccessor, parentOf, type StoredToken } from "./token.ts";
import type { TokenHash } from "./token-hash.ts";

/** A token that was just made. */
export interface NewToken {
  /** The secret; it is stored nowhere. */
  readonly secret: string;
  readonly token: StoredToken;
}

/** What a token is made of. */
export interface TokenRequest {
  readonly maker: Principal;
  /** Whom it stands for. */
  readonly subject: SubjectRef;
  readonly name: string;
  /** Checked: {@link checkScopes}. */
  readonly scopes: readonly Scope[];
  /** Undefined for the default. */
  readonly ttlMs: number | undefined;
}

/** Makes a token of scopes. Errors: TOKEN_TTL_INVALID, TOKENS_LIMITED, CREDENTIAL_INVALID when its parent was just revoked. */
export async function issueToken(
  database: Database,
  hash: TokenHash,
  audit: RecordChanges,
  { maker, subject, name, scopes, ttlMs }: TokenRequest,
): Promise<NewToken> {
  const createTime = new Date();
  const expireTime = expiryOf(createTime, ttlMs, maker);
  const parentAccessor = parentOf(maker)?.accessor ?? "";
  const texts = scopes.map(formatScope);
  return await database.transaction(async (tx) => {
    await lockAccess(tx);
    if (parentAccessor !== "" && !(await isLive(tx, parentAccessor))) {
      throw unauthenticated("CREDENTIAL_INVALID", "the token that this call is made with was revoked");
    }
    if ((await countLiveTokens(tx, subject)) >= MAX_LIVE_TOKENS) {
      throw resourceExhausted(
        "TOKENS_LIMITED",
        `${subjectName(subject)} has ${MAX_LIVE_TOKENS} tokens that still work`,
        {
          hint: "Revoke those that nobody uses: hermit tokens list shows when each was last used.",
        },
      );
    }
    const made = await store(tx, hash, {
      name,
      subject,
      creator: maker.creator,
      parentAccessor,
      scopes: texts,
      login: false,
      createTime,
      expireTime,
    });
    await audit(tx, [
      {
        action: "tokens.create",
        targetType: "token",
        targetId: made.token.accessor,
        fields: [
          { path: "name", before: "", after: name },
          { path: "subject", before: "", after: subjectName(subject) },
          { path: "scopes", before: "", after: texts.join(" ") },
          { path: "expireTime", before: "", after: expireTime.toISOString() },
        ],
      },
    ]);
    return made;
  });
}

/** Makes the token of a login on a device: all that the principal may do, 30 days. In the transaction of the login. */
export async function issueLoginToken(
  tx: Queryable,
  hash: TokenHash,
  { subject, creator }: Principal,
  deviceName: string,
): Promise<NewToken> {
  const createTime = new Date();
  await lockAccess(tx);
  return await store(tx, hash, {
    name: deviceName,
    subject,
    creator,
    parentAccessor: "",
    scopes: [],
    login: true,
    createTime,
    expireTime: new Date(createTime.getTime() + LOGIN_TTL_MS),
  });
}

type Unnamed = Omit<StoredToken, "accessor" | "lastUseTime" | "lastUseAddress" | "revokeTime">;

async function store(tx: Queryable, hash: TokenHash, rest: Unnamed): Promise<NewToken> {
  const secret = newToken();
  const token = { ...rest, accessor: newAccessor(), lastUseTime: null, lastUseAddress: "", revokeTime: null };
  await insertToken(tx, hash(secret), token);
  return { secret, token };
}

async function isLive(tx: Queryable, accessor: string): Promise<boolean> {
  const token = await readToken(tx, accessor);
  return token !== undefined && token.revokeTime === null;
}
