import type { Decision, Denial, Principal } from "@openhermit/access-service";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";

import type { AccessPolicy } from "../access/access-policy.ts";

/** What a principal of a test may do. */
export interface TestRights {
  /** `resource:verb`, `*` for all; write does not include read here. */
  readonly rights: readonly string[];
  /** The agents in reach. Default: all. */
  readonly agents?: readonly string[];
  /** The ids that a scope narrows it to. Default: it is not narrowed. */
  readonly narrowed?: readonly string[];
}

/** An access domain of a few lines, which a test may change while calls run. */
export interface TestAccess extends AccessPolicy {
  /** The principals, by name: `Bearer <name>` proves one. */
  readonly principals: Map<string, Principal>;
  readonly denials: Denial[];
  /** Gives a principal other rights, and tells those who listen. */
  change(name: string, rights: TestRights): void;
  /** Makes the credential of a principal void, without telling anybody if `silently`. */
  revoke(name: string, options?: { silently: boolean }): void;
}

/** The resources of the tests: those of the contracts that they use. */
const RESOURCES = {
  agents: { agentBound: true, read: "viewer", write: "viewer" },
  sessions: { agentBound: true, read: "viewer", write: "viewer" },
  activity: { agentBound: true, read: "viewer" },
  health: { agentBound: true, read: "viewer", write: "viewer" },
  "mcp-servers": { agentBound: false, read: "viewer", write: "viewer" },
  providers: { agentBound: false, read: "viewer", write: "viewer" },
  skills: { agentBound: false, read: "viewer", write: "viewer" },
  manifests: { agentBound: false, read: "viewer", write: "viewer" },
  sidecars: { agentBound: false, read: "viewer", write: "viewer" },
  reflection: { agentBound: false, read: "viewer", write: "viewer" },
  members: { agentBound: false, read: "viewer", write: "viewer" },
  teams: { agentBound: false, read: "viewer", write: "viewer" },
  "service-accounts": { agentBound: false, read: "viewer", write: "viewer" },
  tokens: { agentBound: false, read: "viewer", write: "viewer" },
  grants: { agentBound: false, read: "viewer", write: "viewer" },
  audit: { agentBound: false, read: "viewer", write: "viewer" },
  self: { agentBound: false, read: "viewer", write: "viewer" },
  host: { agentBound: false, read: "viewer", write: "viewer" },
};

/** Agents that exist: `one`, `two`, `three`. */
const AGENTS = ["one", "two", "three"];

/** A principal of a member with a token that is not narrowed. */
export function testPrincipal(id: string, credential?: Principal["credential"]): Principal {
  const subject = { kind: SubjectKind.MEMBER, id };
  const createTime = new Date();
  const expireTime = new Date(Date.now() + 3_600_000);
  return {
    subject,
    creator: subject,
    credential: credential ?? { kind: "token", accessor: `acc_${id}`, scopes: [], login: true, createTime, expireTime },
  };
}

/** Creates it with `operator`, who may do everything, and `guest`, who may do nothing. */
export function createTestAccess(people: Readonly<Record<string, TestRights>> = {}): TestAccess {
  const rights = new Map<string, TestRights>(
    Object.entries({ operator: { rights: ["*"] }, guest: { rights: [] }, ...people }),
  );
  const principals = new Map([...rights.keys()].map((name) => [name, testPrincipal(name)]));
  const revoked = new Set<string>();
  const callbacks = new Set<() => void>();
  const denials: Denial[] = [];
  const tell = () => callbacks.forEach((callback) => callback());
  return {
    principals,
    denials,
    resources: new Map(Object.entries(RESOURCES)),
    isAgent: (agentId) => AGENTS.includes(agentId),
    decide(principal, resource, verb): Decision {
      const mine = () => rights.get(principal.subject.id) ?? { rights: [] };
      const inReach = (id: string) => (mine().agents?.includes(id) ?? true) && (mine().narrowed?.includes(id) ?? true);
      return {
        granted: mine().rights.some((right) => right === "*" || right === `${resource}:${verb}`),
        unnarrowed: mine().narrowed === undefined,
        covers: (id) => mine().narrowed?.includes(id) ?? true,
        agents: {
          get all() {
            return mine().agents === undefined && mine().narrowed === undefined;
          },
          has: (id) => inReach(id) || (!AGENTS.includes(id) && mine().narrowed === undefined),
          ids: () => AGENTS.filter(inReach),
        },
      };
    },
    mayOwnFor: (principal, teamId) => principal.subject.id === teamId,
    isCurrent: ({ subject }) => !revoked.has(subject.id),
    onChanged(callback) {
      callbacks.add(callback);
      return () => callbacks.delete(callback);
    },
    recordDenial: (denial) => void denials.push(denial),
    change(name, now) {
      rights.set(name, now);
      tell();
    },
    revoke(name, { silently } = { silently: false }) {
      revoked.add(name);
      if (!silently) tell();
    },
  };
}
