import { createContextKey } from "@connectrpc/connect";
import { subjectName, type Decision, type Principal } from "@openhermit/access-service";
import type { Caller, Reach } from "@openhermit/caller";
import { notFound, permissionDenied, unauthenticated, type MeshError } from "@openhermit/errors";
import { AgentBinding } from "@openhermit/protocol/common/v1/access";

import type { AccessPolicy } from "./access-policy.ts";
import type { PrincipalRule } from "./access-rules.ts";
import { watchReach, type WatchedReach } from "./watched-reach.ts";

/** What one principal may do with one call. */
export interface CallAccess {
  /** The principal as the domains see it. */
  readonly caller: Extract<Caller, { kind: "principal" }>;
  /** What its handler was told of the agents in reach. */
  readonly reach: WatchedReach;
  /** Why the method is not for this principal, whatever the request says; undefined if it is. */
  methodError(): MeshError | undefined;
  /** Why the principal may not make this request; undefined if it may. Remembers what the request names. */
  requestError(request: object): MeshError | undefined;
  /** Why an open stream may not go on, as things are now; undefined if it may. */
  endError(): MeshError | undefined;
  /** The id that the request names; empty before it is known, and for none. */
  targetId(): string;
}

/** Where the gate puts it. */
export const callAccessKey = createContextKey<CallAccess | undefined>(undefined, { description: "access" });

/** How long a login counts as recent, ms. */
const RECENT_LOGIN_MS = 3_600_000;

/** Finds out what a principal may do with one call of a method. */
export function openCall(options: {
  policy: AccessPolicy;
  principal: Principal;
  rule: PrincipalRule;
  /** The method's name. */
  method: string;
}): CallAccess {
  const { policy, principal, rule, method } = options;
  const name = subjectName(principal.subject);
  const decision = policy.decide(principal, rule.resource, rule.verb);
  const reach = watchReach(decision.agents);
  let targetId = "";
  let asked = false;
  let namedInReach = false;

  const rightMissing = () => {
    const right = `${rule.resource}:${rule.verb}`;
    return permissionDenied("RIGHT_MISSING", `${method} needs the right ${right}, which ${name} lacks`, {
      hint: "`hermit whoami` says what you may do; an admin can change that",
      fields: { right, ...(targetId === "" ? {} : { resource_id: targetId }) },
    });
  };

  function judge(now: Decision, agents: Reach): MeshError | undefined {
    if (!now.granted) {
      return rightMissing();
    }
    switch (rule.agents) {
      case AgentBinding.SELECTED:
        return agents.has(targetId) ? undefined : outOfReach();
      case AgentBinding.LOOKED_UP:
        // Of what belongs to agents the handler finds out to which; what has an id of its own must be in the scope too.
        return rule.agentBound && targetId === "" ? undefined : scopeError(now);
      default:
        return scopeError(now);
    }
  }

  // An agent that may not be seen is not told from one that does not exist.
  function outOfReach(): MeshError {
    const visible =
      rule.verb === "write" &&
      policy.isAgent(targetId) &&
      policy.decide(principal, rule.resource, "read").agents.has(targetId);
    return visible ? rightMissing() : agentNotFound(targetId);
  }

  function scopeError(now: Decision): MeshError | undefined {
    const covered = now.unnarrowed || (targetId !== "" && now.covers(targetId));
    return covered ? undefined : rightMissing();
  }

  const loginTooOld = () => (rule.recentLogin ? loginError(method, principal) : undefined);

  return {
    caller: {
      kind: "principal",
      name,
      agents: reach,
      mayOwnFor: (teamId) => teamId === "" || policy.mayOwnFor(principal, teamId),
    },
    reach,
    methodError: () => (decision.granted ? loginTooOld() : rightMissing()),
    requestError(request) {
      targetId = rule.selector?.(request) ?? "";
      asked = true;
      const error = judge(decision, reach) ?? loginTooOld();
      namedInReach = error === undefined && rule.agentBound && targetId !== "" && decision.agents.has(targetId);
      return error;
    },
    endError() {
      if (!policy.isCurrent(principal)) {
        return unauthenticated("CREDENTIAL_INVALID", "the credential of this call is no longer valid", {
          hint: "log in again with `hermit login`, or use another token",
        });
      }
      const now = policy.decide(principal, rule.resource, rule.verb);
      if (!asked) {
        return now.granted ? undefined : rightMissing();
      }
      const reaches =
        (!namedInReach || now.agents.has(targetId)) && (rule.agents !== AgentBinding.LOOKED_UP || reach.holds());
      return judge(now, now.agents) === undefined && reaches ? undefined : rightMissing();
    },
    targetId: () => targetId,
  };
}

// Word for word what fleet and sessions say of an agent that does not exist.
function agentNotFound(agentId: string): MeshError {
  return notFound("AGENT_NOT_FOUND", `agent "${agentId}" does not exist`, {
    hint: "List the agents for their ids.",
    fields: { agent_id: agentId },
  });
}

function loginError(method: string, { credential }: Principal): MeshError | undefined {
  const since =
    credential.kind === "session"
      ? credential.loginTime
      : credential.kind === "token" && credential.login
        ? credential.createTime
        : undefined;
  if (since === undefined || Date.now() - since.getTime() <= RECENT_LOGIN_MS) {
    return undefined;
  }
  return permissionDenied("LOGIN_TOO_OLD", `${method} needs a login within the last 60 minutes`, {
    hint: "log in again with `hermit login`",
  });
}
