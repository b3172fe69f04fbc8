import { create } from "@bufbuild/protobuf";
import type { Denial, Decision, Logins, NewSession, Principal } from "@openhermit/access-service";
import type { Reach } from "@openhermit/caller";
import {
  failedPrecondition,
  invalidArgument,
  permissionDenied,
  unauthenticated,
  unavailable,
} from "@openhermit/errors";
import { newCode } from "@openhermit/ids";
import { MemberSchema } from "@openhermit/protocol/access/v1/member";
import { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { AgentSchema, AgentState } from "@openhermit/protocol/fleet/v1/agent";
import { FleetHealthSchema, HealthState } from "@openhermit/protocol/health/v1/health";
import { testLog } from "@openhermit/testing";

import { createAttemptLimits } from "../../access/attempt-limits.ts";
import { isSameOrigin } from "../../access/same-origin.ts";
import { listen, type Listener } from "../../listener/listener.ts";
import { createWeb, type WebOptions } from "../web.ts";

/** The password of everybody here. */
export const PASSWORD = "correct horse battery staple";
/** The credential of the local operator here. */
export const OPERATOR = { authorization: "Bearer operator" };
/** That of a member who may see the agent `one` only, and metrics. */
export const NARROW = { authorization: "Bearer narrow" };
/** That of somebody without any right. */
export const NOBODY = { authorization: "Bearer nobody" };

/** What stands behind the pages in a test, and may be changed while it runs. */
export interface Behind {
  hasOwner: boolean;
  databaseAway: boolean;
  agentsFail: boolean;
  health: HealthState;
  displayName: string;
  /** Valid sessions by their secret. */
  readonly sessions: Map<string, Principal>;
  /** Codes that work once. */
  readonly codes: Map<string, "setup" | "invite" | "login-link">;
  readonly denials: Denial[];
  /** Calls that reached the access domain, in order. */
  readonly calls: { name: string; argument: unknown }[];
}

/** A web of its own on a free port. */
export interface TestWeb extends Behind {
  readonly listener: Listener;
  readonly url: string;
  /** A session of a member, as a `cookie` header. */
  sessionOf(memberId: string, loginTime?: Date): { cookie: string; secret: string };
  close(): Promise<void>;
}

/** Serves the pages over an access domain that is kept in memory: the member `alice` logs in with PASSWORD. */
export async function startWeb(
  options: Partial<WebOptions> & { tls?: { cert: string; key: string }; port?: number } = {},
): Promise<TestWeb> {
  const behind: Behind = {
    hasOwner: true,
    databaseAway: false,
    agentsFail: false,
    health: HealthState.OK,
    displayName: "Alice",
    sessions: new Map(),
    codes: new Map(),
    denials: [],
    calls: [],
  };
  const { tls, port = 0, ...rest } = options;
  const late: { listener?: Listener } = {};
  const url = () => late.listener?.url ?? "";
  const handler = await createWeb({
    version: "1.2.3",
    log: testLog(),
    secure: tls !== undefined,
    url,
    access: {
      logins: fakeLogins(behind),
      verifySession: async (secret) => {
        reachable(behind);
        return behind.sessions.get(secret);
      },
      decide,
      recordDenial: (denial) => void behind.denials.push(denial),
    },
    authenticate: async ({ headers }) => {
      const header = headers.get("authorization");
      if (header === null) return undefined;
      if (header === OPERATOR.authorization) return principalOf({ kind: SubjectKind.LOCAL_OPERATOR, id: "" });
      reachable(behind);
      const id = header.replace("Bearer ", "");
      if (id !== "narrow" && id !== "nobody") throw unauthenticated("CREDENTIAL_INVALID", "not valid");
      return principalOf({ kind: SubjectKind.SERVICE_ACCOUNT, id });
    },
    identity: async ({ subject }) => ({
      subject: { $typeName: "openhermit.access.v1.Subject", ...subject },
      displayName: behind.displayName,
      role: Role.OPERATOR,
    }),
    isSameOrigin: (headers) => isSameOrigin(headers, () => [url()]),
    attemptLimits: createAttemptLimits(),
    health: async (agents) =>
      create(FleetHealthSchema, {
        state: behind.health,
        reasons: behind.health === HealthState.OK ? [] : ["the <database> is away"],
        agents: ["one", "two"].filter((id) => agents?.has(id) ?? true).map((agentId) => ({ agentId })),
      }),
    agents: async (agents) => {
      if (behind.agentsFail) throw new Error("no database");
      const status = { state: AgentState.CRASHED, detail: "<script>alert(1)</script>", desiredGeneration: 7n };
      const all = ["one", "two"].map((id) =>
        create(AgentSchema, { id, displayName: `The "&" ${id}`, spec: { model: "offline/echo" }, status }),
      );
      return { agents: all.filter(({ id }) => agents.has(id)), nextPageToken: "a b" };
    },
    metrics: async () => 'openhermit_links 1\nturns{agent_id="one"} 1\nturns{agent_id="two"} 2\n',
    oidc: undefined,
    ...rest,
  });
  const listener = await listen({ host: "127.0.0.1", port, handler, log: testLog(), tls });
  late.listener = listener;
  return Object.assign(behind, {
    listener,
    url: listener.url,
    close: () => listener.close(0),
    sessionOf(memberId: string, loginTime?: Date) {
      const { secret } = openSession(behind, { kind: SubjectKind.MEMBER, id: memberId }, loginTime);
      return { secret, cookie: `openhermit_session=${secret}` };
    },
  });
}

function principalOf(subject: Principal["subject"]): Principal {
  return { subject, creator: subject, credential: { kind: "operator-token" } };
}

function openSession(behind: Behind, subject: Principal["subject"], loginTime = new Date()): NewSession {
  const secret = newCode();
  const expireTime = new Date(loginTime.getTime() + 7 * 86_400_000);
  const credential = { kind: "session", sessionId: secret.slice(0, 8), loginTime, expireTime } as const;
  const principal = { subject, creator: subject, credential };
  behind.sessions.set(secret, principal);
  return { secret, principal, expireTime };
}

const reach = (ids: readonly string[] | undefined): Reach => ({
  all: ids === undefined,
  has: (id) => ids?.includes(id) ?? true,
  ids: () => [...(ids ?? [])],
});

function decide({ subject }: Principal): Decision {
  const agents = subject.id === "narrow" ? ["one"] : subject.id === "nobody" ? [] : undefined;
  return {
    granted: subject.id !== "nobody",
    unnarrowed: agents === undefined,
    covers: () => true,
    agents: reach(agents),
  };
}

function reachable(behind: Behind): void {
  if (behind.databaseAway) throw unavailable("DATABASE_UNAVAILABLE", "the database is away");
}

function fakeLogins(behind: Behind): Logins {
  const member = (id: string) => ({ kind: SubjectKind.MEMBER, id });
  const spend = (code: string, kind: string) => {
    reachable(behind);
    if (behind.codes.get(code) !== kind) throw permissionDenied("CODE_INVALID", "the code is not valid");
    behind.codes.delete(code);
  };
  const checked = (password: string) => {
    if (password.length < 12) throw invalidArgument("PASSWORD_WEAK", "the password is shorter than 12 characters");
  };
  const called = (name: string, argument: unknown) => void behind.calls.push({ name, argument });
  return {
    hasOwner: async () => {
      reachable(behind);
      return behind.hasOwner;
    },
    createSetupCode: async () => ({ code: newCode(), expireTime: new Date() }),
    createLoginLinkCode: async () => ({ code: newCode(), expireTime: new Date() }),
    async claimOwnership({ code, memberId, displayName, password }, attempt) {
      called("claimOwnership", attempt);
      if (behind.hasOwner) throw failedPrecondition("OWNER_EXISTS", "there is an owner");
      checked(password);
      spend(code, "setup");
      behind.hasOwner = true;
      return {
        member: create(MemberSchema, { id: memberId, displayName }),
        session: openSession(behind, member(memberId)),
      };
    },
    async readInvite(code) {
      reachable(behind);
      if (behind.codes.get(code) !== "invite") throw permissionDenied("CODE_INVALID", "the code is not valid");
      return create(MemberSchema, { id: "bob", displayName: behind.displayName, role: Role.VIEWER });
    },
    async acceptInvite({ code, displayName, password }, attempt) {
      called("acceptInvite", attempt);
      checked(password);
      spend(code, "invite");
      return { member: create(MemberSchema, { id: "bob", displayName }), session: openSession(behind, member("bob")) };
    },
    async logIn({ memberId, password }, attempt) {
      reachable(behind);
      called("logIn", attempt);
      if (memberId !== "alice" || password !== PASSWORD) {
        throw unauthenticated("LOGIN_FAILED", `${memberId} and what was wrong`);
      }
      return openSession(behind, member("alice"));
    },
    async logInWithLink(code, attempt) {
      called("logInWithLink", attempt);
      spend(code, "login-link");
      return openSession(behind, { kind: SubjectKind.LOCAL_OPERATOR, id: "" });
    },
    async logInExternally(identity, attempt) {
      called("logInExternally", { identity, attempt });
      if (identity.role === undefined) throw unauthenticated("LOGIN_FAILED", "no role");
      return openSession(behind, member(identity.preferredName));
    },
    async logOut(principal) {
      called("logOut", principal.subject);
      for (const [secret, one] of behind.sessions) {
        if (one === principal) behind.sessions.delete(secret);
      }
    },
    async createTokenCode({ subject }, challenge, deviceName) {
      called("createTokenCode", { subject, challenge, deviceName });
      return { code: newCode(), expireTime: new Date() };
    },
  };
}
