import { createHash } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport, type Client } from "@connectrpc/connect";
import type { Change } from "@openhermit/caller";
import { MeshError } from "@openhermit/errors";
import { rawSql } from "@openhermit/postgres";
import { LoginService } from "@openhermit/protocol/access/v1/login_service";
import { MemberSchema, type Member } from "@openhermit/protocol/access/v1/member";
import { MemberService } from "@openhermit/protocol/access/v1/member_service";
import { testLog, type TestLog } from "@openhermit/testing";
import type { Attempt, Denial, Logins } from "../../access-ports.ts";
import { createDirectory, type Directory } from "../../directory/directory.ts";
import type { Actor, Principal, SubjectRef } from "../../principal.ts";
import { accessDatabase, LOCAL_OPERATOR } from "../../test/access-database.ts";
import { issueLoginToken } from "../../tokens/issue-token.ts";
import type { TestDatabase } from "@openhermit/testing";
import { createLogins, type LoginDomain } from "../logins.ts";
import type { PasswordHasher } from "../password-hasher.ts";

/** A hasher that costs nothing and counts. */
export interface CountingHasher extends PasswordHasher {
  hashed: number;
  verified: number;
}

/** Logins on a database of their own, with a clock that stands still. */
export interface OpenLogins {
  readonly store: TestDatabase;
  readonly directory: Directory;
  readonly domain: LoginDomain;
  readonly logins: Logins;
  readonly hasher: CountingHasher;
  readonly log: TestLog;
  /** What was audited, oldest first: `login alice`. */
  readonly audited: string[];
  readonly changes: Change[];
  readonly denials: Denial[];
  /** The accessors of tokens that were told to be revoked, without waiting for a notice. */
  readonly revoked: string[];
  /** Moves the clock, in milliseconds. */
  pass(ms: number): void;
  now(): Date;
  /** Clients of the RPCs for this principal, whose errors carry the reason alone. */
  as(principal: Principal | undefined, address?: string): Clients;
  /** Another gateway on the same database; it hears no notices. */
  secondGateway(): LoginDomain;
  /** Removes everybody and everything. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

/** The clients of one principal. */
export interface Clients {
  readonly login: Client<typeof LoginService>;
  readonly members: Client<typeof MemberService>;
}

/** A good password. */
export const PASSWORD = "correct horse battery";

/** The principal of the operator token. */
export const operator: Principal = {
  subject: LOCAL_OPERATOR,
  creator: LOCAL_OPERATOR,
  credential: { kind: "operator-token" },
};

/** Somebody with a token that is not narrowed. */
export const principalOf = (subject: SubjectRef, creator: SubjectRef = subject): Principal => ({
  subject,
  creator,
  credential: {
    kind: "token",
    accessor: `acc_${subject.id}`,
    scopes: [],
    login: true,
    createTime: new Date(),
    expireTime: new Date(Date.now() + 3_600_000),
  },
});

/** An attempt from an address. */
export const from = (address = "192.0.2.1"): Attempt => ({ address, userAgent: "test", requestId: "r" });

/** Opens them. */
export async function openLogins(): Promise<OpenLogins> {
  const store = await accessDatabase();
  const log = testLog();
  const directory = createDirectory({ database: store.database, log });
  await directory.refresh();
  const audited: string[] = [];
  const changes: Change[] = [];
  const denials: Denial[] = [];
  let time = Date.now();
  const now = (): Date => new Date(time);
  const hasher = countingHasher();
  const revoked: string[] = [];
  const options = {
    onRevoked: (accessors: readonly string[]) => void revoked.push(...accessors),
    database: store.database,
    log,
    directory,
    hasher,
    now,
    gatewayUrl: () => "https://mesh.example",
    issueLoginToken: async (
      ...[tx, principal, name]: [...Parameters<Parameters<typeof createLogins>[0]["issueLoginToken"]>]
    ) => {
      const { secret, token } = await issueLoginToken(tx, (text) => sha256(text), principal, name);
      return { token: secret, accessor: token.accessor, expireTime: token.expireTime };
    },
    audit: {
      recordChanges: (actor: Actor) => async (_: unknown, made: readonly Change[]) => {
        changes.push(...made);
        audited.push(...made.map(({ action, targetId }) => `${actor.subject.id || "-"} ${action} ${targetId}`.trim()));
      },
      recordDenial: (denial: Denial) => void denials.push(denial),
    },
  };
  const domain = createLogins(options);

  return {
    store,
    directory,
    domain,
    logins: domain.logins,
    hasher,
    log,
    audited,
    changes,
    denials,
    revoked,
    now,
    pass: (ms) => void (time += ms),
    as(principal, address = "192.0.2.1") {
      const call = () => ({
        principal,
        actor: {
          subject: principal?.subject ?? { kind: 7, id: "" },
          onBehalfOf: undefined,
          accessor: "",
          requestId: "r",
          address,
        } as Actor,
      });
      const transport = createRouterTransport(
        (router) => {
          router.service(LoginService, domain.loginRpcs(call));
          router.service(MemberService, domain.memberRpcs(call));
        },
        {
          router: {
            interceptors: [
              (next) => (request) =>
                next(request).catch((error: unknown) => {
                  throw error instanceof MeshError ? new ConnectError(error.reason, Code.Aborted) : error;
                }),
            ],
          },
        },
      );
      return { login: createClient(LoginService, transport), members: createClient(MemberService, transport) };
    },
    secondGateway: () => createLogins(options),
    async clear() {
      await store.database.query(
        rawSql(`TRUNCATE access.members, access.service_accounts, access.teams, access.team_members, access.grants,
          access.tokens, access.sessions, access.one_time_codes, access.ownership, access.known_addresses`),
      );
      await directory.refresh();
      for (const list of [audited, changes, denials, revoked]) list.length = 0;
      // Counters of failed logins are forgotten with the time.
      time += 24 * 3_600_000;
      Object.assign(hasher, { hashed: 0, verified: 0 });
    },
    async close() {
      await directory.close();
      await store.drop();
    },
  };
}

/** Claims ownership; the owner's session. */
export async function claimAs(logins: Logins, memberId: string, address?: string) {
  const { code } = await logins.createSetupCode();
  return logins.claimOwnership({ code, memberId, displayName: "", password: PASSWORD }, from(address));
}

/** The code in a link. */
export function codeIn(url: string): string {
  return new URL(url).searchParams.get("code") ?? "";
}

/** A change of a member, as a request. */
export function memberOf(init: MessageInitShape<typeof MemberSchema>): Member {
  return create(MemberSchema, init);
}

/** The reason of the error that a call ends with. */
export async function reasonOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (error instanceof MeshError) return error.reason;
    if (error instanceof ConnectError) return error.rawMessage;
    throw error;
  }
  return "none";
}

function countingHasher(): CountingHasher {
  return {
    hashed: 0,
    verified: 0,
    async hash(password) {
      this.hashed += 1;
      return `$fake$${sha256(password).toString("hex")}`;
    },
    async verify(hash, password) {
      this.verified += 1;
      return hash === `$fake$${sha256(password).toString("hex")}`;
    },
  };
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
