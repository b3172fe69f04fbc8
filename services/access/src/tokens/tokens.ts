import type { ServiceImpl } from "@connectrpc/connect";
import type { Queryable } from "@openhermit/postgres";
import type { TokenService } from "@openhermit/protocol/access/v1/token_service";
import { createPeriodicTask, type PeriodicTask } from "@openhermit/reconcile";
import { accessUnavailable } from "../access-error.ts";
import type { Principal } from "../principal.ts";
import { issueLoginToken } from "./issue-token.ts";
import { openTokenHash, type TokenHash } from "./token-hash.ts";
import { createTokenRpcs, type TokenRpcOptions } from "./token-rpcs.ts";
import { deleteOldTokens } from "./token-store.ts";
import { createTokenUses } from "./token-uses.ts";
import { createTokenVerifier, type TokenVerifier, type TokenVerifierOptions } from "./token-verifier.ts";

/** Tokens: what programs and command lines come in with. */
export interface Tokens extends Pick<TokenVerifier, "verify" | "isCurrent" | "forget"> {
  readonly rpcs: ServiceImpl<typeof TokenService>;
  /** Makes the token of a login, in the transaction of the login. */
  issueLoginToken(
    tx: Queryable,
    principal: Principal,
    deviceName: string,
  ): Promise<{ token: string; accessor: string; expireTime: Date }>;
  /** Notices may have been lost. */
  poke(): void;
  /** Errors: PEPPER_DIFFERS, DATABASE_UNAVAILABLE. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** What tokens are made of. */
export type TokensOptions = Omit<TokenRpcOptions, "hash" | "onRevoked"> &
  Pick<TokenVerifierOptions, "isReliable" | "mayAct" | "onEnded" | "now"> & {
    /** Mixed into the hashes. */
    pepper: string;
  };

/** A safety net: revocations are announced. */
const RECHECK_PERIOD_MS = 30_000;
const SWEEP_PERIOD_MS = 60 * 60 * 1000;

/** Makes the tokens of one gateway. */
export function createTokens(options: TokensOptions): Tokens {
  const { database, log, pepper } = options;
  let opened: TokenHash | undefined;
  let tasks: { recheck: PeriodicTask; sweep: PeriodicTask } | undefined;

  const hash = (): TokenHash => {
    if (opened === undefined) throw accessUnavailable();
    return opened;
  };
  const uses = createTokenUses({ database, log });
  const verifier = createTokenVerifier({ ...options, uses, hash: (token) => hash()(token) });

  return {
    rpcs: createTokenRpcs({
      ...options,
      hash,
      onRevoked: (accessors) => accessors.forEach((accessor) => verifier.forget(accessor)),
    }),
    verify: verifier.verify,
    isCurrent: verifier.isCurrent,
    forget: verifier.forget,
    async issueLoginToken(tx, principal, deviceName) {
      const { secret, token } = await issueLoginToken(tx, hash(), principal, deviceName);
      return { token: secret, accessor: token.accessor, expireTime: token.expireTime };
    },
    poke() {
      verifier.doubt();
      tasks?.recheck.poke();
    },
    async start() {
      opened = await openTokenHash(database, pepper);
      tasks ??= {
        recheck: createPeriodicTask({
          name: "recheck-tokens",
          periodMs: RECHECK_PERIOD_MS,
          run: () => verifier.recheck(),
          onError: (error) => log.debug({ err: error }, "tokens not rechecked"),
        }),
        sweep: createPeriodicTask({
          name: "sweep-tokens",
          periodMs: SWEEP_PERIOD_MS,
          async run() {
            const count = await deleteOldTokens(database);
            if (count > 0) log.info({ count }, "old tokens removed");
          },
          onError: (error) => log.debug({ err: error }, "old tokens not removed"),
        }),
      };
    },
    async close() {
      await Promise.all([tasks?.recheck.stop(), tasks?.sweep.stop()]);
      await uses.close();
    },
  };
}
