import { MemberState } from "@openhermit/protocol/access/v1/member";
import { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createDirectoryContent } from "../directory/directory-content.ts";
import type { DirectoryRows } from "../directory/directory-store.ts";
import type { Principal, Scope, SubjectRef } from "../principal.ts";
import { LOCAL_OPERATOR, member, serviceAccount } from "../test/access-database.ts";
import { decide, effectiveRole, mayOwnFor, type Facts } from "./decide.ts";
import { RESOURCES } from "./resources.ts";
import { parseScopes, plainScopes } from "./scope.ts";

const AGENTS: ReadonlyMap<string, string> = new Map([
  ["free", ""],
  ["one", "red"],
  ["one2", "red"],
  ["two", "blue"],
]);

interface Person {
  role: Role;
  disabled?: boolean;
  teams?: string[];
  /** By agent. */
  grants?: Record<string, Role>;
}

const rowsOf = (
  people: Record<string, Person>,
  teamGrants: Record<string, Record<string, Role>> = {},
): DirectoryRows => ({
  members: Object.entries(people).map(([id, { role, disabled }]) => ({
    id,
    displayName: id,
    role,
    state: disabled === true ? MemberState.DISABLED : MemberState.ACTIVE,
    external: false,
    roleTime: new Date(0),
  })),
  serviceAccounts: [{ id: "ci", displayName: "ci", role: Role.ADMIN, disabled: false }],
  teamIds: ["red", "blue"],
  memberships: Object.entries(people).flatMap(([id, { teams = [] }]) =>
    teams.map((teamId) => ({ teamId, kind: SubjectKind.MEMBER, subjectId: id })),
  ),
  grants: [
    ...Object.entries(people).flatMap(([id, { grants = {} }]) =>
      Object.entries(grants).map(([agentId, role]) => ({ agentId, kind: SubjectKind.MEMBER, subjectId: id, role })),
    ),
    ...Object.entries(teamGrants).flatMap(([id, grants]) =>
      Object.entries(grants).map(([agentId, role]) => ({ agentId, kind: SubjectKind.TEAM, subjectId: id, role })),
    ),
  ],
});
const factsOf = (people: Record<string, Person>, teamGrants?: Record<string, Record<string, Role>>): Facts => ({
  directory: createDirectoryContent(rowsOf(people, teamGrants)),
  ports: { teamOfAgent: (id) => AGENTS.get(id), agentIds: () => [...AGENTS.keys()] },
});
const later = new Date("2100-01-01");
const person = (subject: SubjectRef): Principal => ({
  subject,
  creator: subject,
  credential: { kind: "session", sessionId: "s", loginTime: new Date(), expireTime: later },
});
const tokenOf = (subject: SubjectRef, creator: SubjectRef, scopes: readonly Scope[]): Principal => ({
  subject,
  creator,
  credential: { kind: "token", accessor: "acc", scopes, login: false, createTime: new Date(), expireTime: later },
});
const alice = person(member("alice"));

describe("a person", () => {
  it("reaches agents that nobody owns and those of the own teams, as far as the role goes", () => {
    const facts = factsOf({ alice: { role: Role.OPERATOR, teams: ["red"] } });
    expect(decide(facts, alice, "agents", "write").agents.ids()).toEqual(["free", "one", "one2"]);
    expect(decide(facts, alice, "mcp-servers", "write").agents.ids()).toEqual(["free", "one", "one2"]);
    expect(decide(facts, alice, "agents", "write").agents.all).toBe(false);
    const viewer = factsOf({ alice: { role: Role.VIEWER, teams: ["red"] } });
    expect(decide(viewer, alice, "agents", "read").agents.ids()).toEqual(["free", "one", "one2"]);
    expect(decide(viewer, alice, "agents", "write").agents.ids()).toEqual([]);
    expect(decide(viewer, alice, "agents", "write").granted).toBe(false);
  });

  it("reaches an agent of another team by a grant, its own or of a team, and only for what is about agents", () => {
    const facts = factsOf({ alice: { role: Role.VIEWER, teams: ["red"], grants: { two: Role.OPERATOR } } });
    const write = decide(facts, alice, "sessions", "write");
    expect([write.granted, write.agents.ids()]).toEqual([true, ["two"]]);
    expect(decide(facts, alice, "mcp-servers", "read").agents.has("two")).toBe(false);
    expect(decide(facts, alice, "sidecars", "write").granted).toBe(false);
    const byTeam = factsOf({ alice: { role: Role.OPERATOR, teams: ["red"] } }, { red: { two: Role.VIEWER } });
    expect(decide(byTeam, alice, "agents", "read").agents.has("two")).toBe(true);
    expect(decide(byTeam, alice, "agents", "write").agents.has("two")).toBe(false);
  });

  it("takes the owner that the asker knows, and an unknown agent for nobody's", () => {
    const { agents } = decide(factsOf({ alice: { role: Role.VIEWER } }), alice, "agents", "read");
    expect([agents.has("never-made"), agents.has("free", "red"), agents.has("one", "")]).toEqual([true, false, true]);
  });

  it("reaches everything as an admin, and nothing while disabled", () => {
    const admin = decide(factsOf({ alice: { role: Role.ADMIN } }), alice, "agents", "write");
    expect([admin.agents.all, admin.agents.has("two"), admin.unnarrowed]).toEqual([true, true, true]);
    const disabled = factsOf({
      alice: { role: Role.OWNER, disabled: true, teams: ["red"], grants: { two: Role.OPERATOR } },
    });
    for (const resource of RESOURCES.keys()) {
      for (const verb of ["read", "write"] as const) {
        const { granted, agents } = decide(disabled, alice, resource, verb);
        expect([granted, agents.all, agents.ids()]).toEqual([false, false, []]);
      }
    }
    expect(effectiveRole(disabled, alice)).toBe(Role.UNSPECIFIED);
  });

  it("may own things for its own teams only", () => {
    const facts = factsOf({ alice: { role: Role.OPERATOR, teams: ["red"] } });
    expect(["", "red", "blue"].map((id) => mayOwnFor(facts, alice, id))).toEqual([true, true, false]);
    expect(mayOwnFor(facts, person(LOCAL_OPERATOR), "blue")).toBe(true);
    expect(mayOwnFor(facts, person(member("nobody")), "")).toBe(false);
  });

  it("never has the rights of the host, but the local operator", () => {
    const facts = factsOf({ alice: { role: Role.OWNER } });
    expect(decide(facts, alice, "host", "write").granted).toBe(false);
    expect(decide(facts, person(LOCAL_OPERATOR), "host", "write").granted).toBe(true);
    const everything = parseScopes(["*:write"]);
    expect(decide(facts, tokenOf(LOCAL_OPERATOR, LOCAL_OPERATOR, everything), "host", "write").granted).toBe(false);
  });
});

describe("a token", () => {
  it("of agent one covers one and not one2, and lists nothing without naming it", () => {
    const facts = factsOf({ alice: { role: Role.OWNER } });
    const one = decide(
      facts,
      tokenOf(member("alice"), member("alice"), parseScopes(["agents:one:read"])),
      "agents",
      "read",
    );
    expect([one.granted, one.unnarrowed, one.covers("one"), one.covers("one2"), one.covers("")]).toEqual([
      true,
      false,
      true,
      false,
      false,
    ]);
    expect([one.agents.all, one.agents.ids()]).toEqual([false, ["one"]]);
  });

  it("has only what its scopes open, and its own identity", () => {
    const facts = factsOf({ alice: { role: Role.OWNER } });
    const token = tokenOf(member("alice"), member("alice"), parseScopes(["activity:read"]));
    const granted = [...RESOURCES.keys()].flatMap((resource) =>
      (["read", "write"] as const)
        .filter((verb) => decide(facts, token, resource, verb).granted)
        .map((verb) => `${resource}:${verb}`),
    );
    expect(granted).toEqual(["activity:read", "self:read", "self:write"]);
  });

  it("sinks with its maker", () => {
    const scopes = parseScopes(["agents:write", "members:write"]);
    const token = tokenOf(serviceAccount("ci"), member("alice"), scopes);
    const before = factsOf({ alice: { role: Role.ADMIN } });
    expect(decide(before, token, "members", "write").granted).toBe(true);
    const demoted = factsOf({ alice: { role: Role.OPERATOR, teams: ["red"] } });
    expect(decide(demoted, token, "members", "write").granted).toBe(false);
    expect(decide(demoted, token, "agents", "write").agents.ids()).toEqual(["free", "one", "one2"]);
    const disabled = factsOf({ alice: { role: Role.OWNER, disabled: true } });
    expect(decide(disabled, token, "agents", "read").granted).toBe(false);
  });
});

describe("always", () => {
  const anyRole = fc.constantFrom(Role.UNSPECIFIED, Role.VIEWER, Role.OPERATOR, Role.ADMIN, Role.OWNER);
  const anyPerson = fc.record({
    role: anyRole,
    disabled: fc.boolean(),
    teams: fc.uniqueArray(fc.constantFrom("red", "blue")),
    grants: fc.dictionary(fc.constantFrom(...AGENTS.keys()), fc.constantFrom(Role.VIEWER, Role.OPERATOR)),
  });
  const anyScope = fc.oneof(
    fc.constantFrom("read" as const, "write" as const).map((verb): Scope => ({ resource: "*", selector: "", verb })),
    fc
      .tuple(fc.constantFrom(...plainScopes()), fc.constantFrom("", ...AGENTS.keys()))
      .map(([scope, selector]): Scope => ({
        ...scope,
        selector: RESOURCES.get(scope.resource)?.selector === "" ? "" : selector,
      })),
  );
  const anyRight = fc.tuple(fc.constantFrom(...RESOURCES.keys()), fc.constantFrom("read" as const, "write" as const));
  const teamGrants = fc.dictionary(
    fc.constantFrom("red", "blue"),
    fc.dictionary(fc.constantFrom(...AGENTS.keys()), fc.constantFrom(Role.VIEWER, Role.OPERATOR)),
  );

  it("a token reaches no further than its maker and its subject, nor than its scopes", () => {
    fc.assert(
      fc.property(
        anyPerson,
        anyPerson,
        teamGrants,
        fc.array(anyScope, { maxLength: 4 }),
        anyRight,
        (a, b, grants, scopes, [resource, verb]) => {
          const facts = factsOf({ alice: a, bob: b }, grants);
          const effective = decide(facts, tokenOf(member("alice"), member("bob"), scopes), resource, verb);
          const whole = tokenOf(member("alice"), member("alice"), scopes);
          for (const bound of [
            decide(facts, alice, resource, verb),
            decide(facts, person(member("bob")), resource, verb),
            decide(facts, whole, resource, verb),
          ]) {
            expect(effective.granted && !bound.granted).toBe(false);
            expect(effective.unnarrowed && !bound.unnarrowed).toBe(false);
            expect(effective.agents.all && !bound.agents.all).toBe(false);
            for (const id of [...AGENTS.keys(), "never-made"]) {
              expect(effective.covers(id) && !bound.covers(id)).toBe(false);
              expect(effective.agents.has(id) && !bound.agents.has(id)).toBe(false);
            }
          }
          if (effective.agents.all) expect(effective.agents.ids()).toEqual([...AGENTS.keys()]);
        },
      ),
      { numRuns: 3000 },
    );
  });

  it("fewer scopes reach no further", () => {
    fc.assert(
      fc.property(
        anyPerson,
        fc.array(anyScope, { maxLength: 4 }),
        fc.nat(3),
        anyRight,
        (a, scopes, kept, [resource, verb]) => {
          const facts = factsOf({ alice: a });
          const more = decide(facts, tokenOf(member("alice"), member("alice"), scopes), resource, verb);
          const fewer = decide(facts, tokenOf(member("alice"), member("alice"), scopes.slice(0, kept)), resource, verb);
          expect(fewer.granted && !more.granted).toBe(false);
          for (const id of AGENTS.keys()) expect(fewer.agents.has(id) && !more.agents.has(id)).toBe(false);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
