import type { Reach } from "@openhermit/caller";
import { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { AccessPorts, Decision } from "../access-ports.ts";
import type { DirectoryContent } from "../directory/directory-content.ts";
import type { Principal, Scope, SubjectRef } from "../principal.ts";
import { RESOURCES, type ResourceRights, type RightVerb } from "./resources.ts";
import { opens, opensOn } from "./scope.ts";

/** What decisions are made from; all in memory. */
export interface Facts {
  readonly directory: DirectoryContent;
  readonly ports: Pick<AccessPorts, "teamOfAgent" | "agentIds">;
}

/** One right, as a decision looks at it. */
interface Right {
  readonly resource: string;
  readonly verb: RightVerb;
  /** The lowest role that holds it. */
  readonly role: Role;
  readonly rights: ResourceRights;
}

const DENIED: Decision = {
  granted: false,
  unnarrowed: false,
  covers: () => false,
  agents: { all: false, has: () => false, ids: () => [] },
};

/** What a principal may do with a resource. What it says is looked up when it is asked, so it never grows old. */
export function decide(facts: Facts, principal: Principal, resource: string, verb: RightVerb): Decision {
  const rights = RESOURCES.get(resource);
  const role = rights?.[verb];
  if (rights === undefined || role === undefined) return DENIED;
  return new LiveDecision(facts, principal, { resource, verb, role, rights });
}

/** The lower of the roles of the subject and of whose rights bound it. */
export function effectiveRole({ directory }: Pick<Facts, "directory">, { subject, creator }: Principal): Role {
  const [role, bound] = [directory.roleOf(subject), directory.roleOf(creator)];
  return role < bound ? role : bound;
}

/** Whether the principal may own things for a team, or give them to it. */
export function mayOwnFor({ directory }: Pick<Facts, "directory">, principal: Principal, teamId: string): boolean {
  const may = (subject: SubjectRef): boolean => {
    const role = directory.roleOf(subject);
    if (role === Role.UNSPECIFIED) return false;
    return teamId === "" || role >= Role.ADMIN || directory.teamsOf(subject).has(teamId);
  };
  return may(principal.subject) && may(principal.creator);
}

/** Whether two are the same. */
export function sameSubject(a: SubjectRef, b: SubjectRef): boolean {
  return a === b || (a.kind === b.kind && a.id === b.id);
}

/** The scopes that narrow a principal; undefined: nothing does, it is a person or a login. */
export function scopesOf({ credential }: Principal): readonly Scope[] | undefined {
  return credential.kind === "token" && !credential.login ? credential.scopes : undefined;
}

class LiveDecision implements Decision, Reach {
  readonly #facts: Facts;
  readonly #principal: Principal;
  readonly #right: Right;
  /** Undefined: nothing narrows it. */
  readonly #scopes: readonly Scope[] | undefined;

  constructor(facts: Facts, principal: Principal, right: Right) {
    this.#facts = facts;
    this.#principal = principal;
    this.#right = right;
    this.#scopes = right.rights.byScope === "always" ? undefined : scopesOf(principal);
  }

  get granted(): boolean {
    const { subject, creator } = this.#principal;
    return this.#isOpen() && this.#holds(subject) && (sameSubject(subject, creator) || this.#holds(creator));
  }

  get unnarrowed(): boolean {
    return this.#isOpen() && this.#covers("");
  }

  covers(id: string): boolean {
    return this.#isOpen() && this.#covers(id);
  }

  get agents(): Reach {
    return this;
  }

  get all(): boolean {
    const { subject, creator } = this.#principal;
    const { rights } = this.#right;
    return (
      (rights.agentBound ? this.unnarrowed : this.#isOpen()) &&
      this.#reachesAll(subject) &&
      (sameSubject(subject, creator) || this.#reachesAll(creator))
    );
  }

  has(id: string, owner: string = this.#facts.ports.teamOfAgent(id) ?? ""): boolean {
    const { subject, creator } = this.#principal;
    return (
      (this.#right.rights.agentBound ? this.covers(id) : this.#isOpen()) &&
      this.#reaches(subject, id, owner) &&
      (sameSubject(subject, creator) || this.#reaches(creator, id, owner))
    );
  }

  ids(): string[] {
    return this.#facts.ports.agentIds().filter((id) => this.has(id));
  }

  /** Whether the credential opens the resource to the verb at all. */
  #isOpen(): boolean {
    const { resource, verb, rights } = this.#right;
    if (this.#scopes === undefined) return true;
    return rights.byScope !== "never" && this.#scopes.some((scope) => opens(scope, resource, verb));
  }

  /** Empty: whether it opens it unnarrowed. No selector is empty. */
  #covers(id: string): boolean {
    const { resource, verb } = this.#right;
    return this.#scopes === undefined || this.#scopes.some((scope) => opensOn(scope, resource, verb, id));
  }

  /** Whether a subject holds the right on something. */
  #holds(subject: SubjectRef): boolean {
    const { role, rights } = this.#right;
    if (rights.hostOnly) return subject.kind === SubjectKind.LOCAL_OPERATOR;
    const own = this.#facts.directory.roleOf(subject);
    if (own === Role.UNSPECIFIED) return false;
    return own >= role || (rights.agentBound && this.#facts.directory.highestGrant(subject) >= role);
  }

  #reachesAll(subject: SubjectRef): boolean {
    return this.#facts.directory.roleOf(subject) >= Role.ADMIN;
  }

  #reaches(subject: SubjectRef, agentId: string, owner: string): boolean {
    const { role, rights } = this.#right;
    const { directory } = this.#facts;
    const own = directory.roleOf(subject);
    if (own === Role.UNSPECIFIED) return false;
    if (own >= role && (own >= Role.ADMIN || owner === "" || directory.teamsOf(subject).has(owner))) return true;
    return rights.agentBound && directory.grantRole(subject, agentId) >= role;
  }
}
