import { Role } from "@openhermit/protocol/access/v1/subject";
import { subjectName } from "../access-call.ts";
import type { Principal, Scope, SubjectRef } from "../principal.ts";
import { decide, sameSubject, type Facts } from "../rights/decide.ts";
import { RESOURCES, roleFor } from "../rights/resources.ts";
import { roleName } from "../rights/role-name.ts";
import { EVERY_RESOURCE, formatScope, isCovered } from "../rights/scope.ts";
import { parentOf, scopeTooBroad } from "./token.ts";

/**
 * Checks that each scope is within the token that the call is made with, within the rights of whoever makes it, and within
 * those of whom the new token stands for. Errors: SCOPE_TOO_BROAD for the first one that is not.
 */
export function checkScopes(facts: Facts, maker: Principal, subject: SubjectRef, scopes: readonly Scope[]): void {
  const parent = parentOf(maker);
  for (const scope of scopes) {
    const text = formatScope(scope);
    if (parent !== undefined && !isCovered(scope, parent.scopes)) {
      throw scopeTooBroad(text, "the token that it is made with", "Use a token with that scope, or log in.");
    }
    for (const bound of [maker.subject, maker.creator]) {
      if (holdsScope(facts, bound, scope, true)) continue;
      throw scopeTooBroad(text, subjectName(bound), hintFor(scope));
    }
    if (!sameSubject(subject, maker.subject) && !holdsScope(facts, subject, scope, false)) {
      throw scopeTooBroad(text, subjectName(subject), `A token can't do more than its account. ${hintFor(scope)}`);
    }
  }
}

/**
 * Whether a subject holds by itself all that a scope opens. `inSight`: an agent that the scope names must exist, so that one
 * out of reach and one that does not exist look the same to whoever asks.
 */
function holdsScope(facts: Facts, subject: SubjectRef, scope: Scope, inSight: boolean): boolean {
  const { resource, selector, verb } = scope;
  const own = facts.directory.roleOf(subject);
  if (own >= Role.ADMIN) return true;
  // The table has resources that admins alone may use.
  if (resource === EVERY_RESOURCE) return false;
  if (selector !== "" && RESOURCES.get(resource)?.agentBound === true) {
    const itself: Principal = { subject, creator: subject, credential: { kind: "operator-token" } };
    const known = !inSight || facts.ports.teamOfAgent(selector) !== undefined;
    return known && decide(facts, itself, resource, verb).agents.has(selector);
  }
  const role = roleFor(resource, verb);
  return role !== undefined && own !== Role.UNSPECIFIED && own >= role;
}

function hintFor({ resource, selector, verb }: Scope): string {
  if (resource === EVERY_RESOURCE) return "Only admins hold all rights: name the resources.";
  const role = roleFor(resource, verb) ?? Role.OWNER;
  return selector === "" || RESOURCES.get(resource)?.agentBound !== true
    ? `It needs the role ${roleName(role)}.`
    : `It needs the role ${roleName(role)} and the agent in reach: through its team, or a grant.`;
}
